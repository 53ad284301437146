-- The user object.
-- $1 id
select email, id, username, role, account_fields
from users
where id = $1
