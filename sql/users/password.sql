-- The password hash of an account.
-- $1 id
select password
from users
where id = $1
