-- A sign-in: the new session's id, or no row when the account is inactive, gone, or has another password by now.
-- $1 user id, $2 password hash that was checked, $3 life in seconds
insert into sessions (user_id, expires_at)
select id, now() + make_interval(secs => $3::double precision)
from users
where id = $1 and is_active and password = $2
for share
returning id
