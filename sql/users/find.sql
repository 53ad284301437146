-- The user object.
-- $1 id
select email, id, username
from users
where id = $1
