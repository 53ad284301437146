-- Change a username: the user object and whether the name is the same as before, or no row when the account does not
-- exist.
-- $1 user id, $2 username, or null
with before as (
    select id, username
    from users
    where id = $1
    for no key update
)
update users u
set username = $2
from before b
where u.id = b.id
returning u.email, u.id, u.username, u.role, u.account_fields, u.username is not distinct from b.username as is_same
