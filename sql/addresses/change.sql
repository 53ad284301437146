-- Change the address of an account at once: the user object, the old address as old_email, and whether the new one is
-- the same in another spelling; no row when the account does not exist.
-- $1 id, $2 email
with before as (
    select id, email, email_key
    from users
    where id = $1
    for no key update
)
update users u
set email = $2, pending_email = null
from before b
where u.id = b.id
returning u.email, u.id, u.username, u.role, u.account_fields, b.email as old_email, u.email_key = b.email_key as is_same
