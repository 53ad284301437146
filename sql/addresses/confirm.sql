-- Make the address that waits for confirmation the address of the account: its id, the old address as old_email, and
-- whether the new one is the same in another spelling; no row when no address waits.
-- $1 id
with before as (
    select id, email, email_key, pending_email
    from users
    where id = $1 and pending_email is not null
    for no key update
)
update users u
set email = b.pending_email, pending_email = null
from before b
where u.id = b.id
returning u.id, b.email as old_email, u.email_key = b.email_key as is_same
