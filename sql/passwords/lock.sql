-- Lock an account until the transaction ends, if its password is the one that was checked: its id, or no row.
-- The transaction then commits before any change of the password, which would end the session of the caller.
-- $1 user id, $2 password hash that was checked
select id
from users
where id = $1 and password = $2
for no key update
