-- The key of the username of an account: one row, username_key; no row when the account does not exist.
-- $1 id
select username_key
from users
where id = $1
