-- The user object.
-- $1 id
select email, id, username, role
from users
where id = $1
