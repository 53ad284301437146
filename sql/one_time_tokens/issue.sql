-- A new token for one purpose, in place of the one before: the account's id, or no row when the account does not exist.
-- Locks the account before its token, in the order of all statements, so that there is no deadlock.
-- $1 user id, $2 purpose, $3 hash, $4 lifetime in seconds
insert into one_time_tokens (user_id, purpose, hash, expires_at)
select id, $2, $3, now() + make_interval(secs => $4::double precision)
from users
where id = $1
for no key update
on conflict (user_id, purpose) do update
set hash = excluded.hash, expires_at = excluded.expires_at, used_at = null
returning user_id
