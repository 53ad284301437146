-- Why sessions speak for nobody: for each account that there is, its id, and whether it is active.
-- Accounts are asked for, not sessions, because an account that is gone took its sessions with it.
-- $1 user ids
select id, is_active
from users
where id = any($1::bigint[])
