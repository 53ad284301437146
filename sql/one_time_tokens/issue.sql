-- A new token for one purpose; the one before it dies: the account's id, or no row when it is gone.
-- The account is locked before its token, as everywhere.
-- $1 user id, $2 purpose, $3 hash, $4 life in seconds
insert into one_time_tokens (user_id, purpose, hash, expires_at)
select id, $2, $3, now() + make_interval(secs => $4::double precision)
from users
where id = $1
for no key update
on conflict (user_id, purpose) do update
set hash = excluded.hash, expires_at = excluded.expires_at, used_at = null
returning user_id
