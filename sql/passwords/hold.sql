-- Hold an account until the transaction ends, while its password is the one that was checked: its id, or no row.
-- What is done in its name after that cannot come after a change of the password, which ends who asked.
-- $1 user id, $2 password hash that was checked
select id
from users
where id = $1 and password = $2
for no key update
