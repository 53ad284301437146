-- Why sessions identify no account: for each account that exists, its id and whether it is active.
-- Looks at accounts, not at sessions: the sessions of a deleted account were deleted with it.
-- $1 user ids
select id, is_active
from users
where id = any($1::bigint[])
