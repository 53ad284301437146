-- Let an address wait for confirmation. Another spelling of the present address is in force at once, and no address
-- waits. For an account that waits for its activation the address changes at once, because the activation link confirms
-- it. The user object, pending_email, awaits_activation, and whether it is the present address in another spelling.
-- $1 id, $2 email
with before as (
    select id, email_key = email_key($2::text) as is_same
    from users
    where id = $1
    for no key update
)
update users u
set
    email = case when u.awaits_activation or b.is_same then $2 else u.email end,
    pending_email = case when u.awaits_activation or b.is_same then null else $2 end
from before b
where u.id = b.id
returning u.email, u.id, u.username, u.role, u.account_fields, u.pending_email, u.awaits_activation, b.is_same
