-- The account of the session of each refresh token, as in sessions/identify, then the number of the session's present
-- refresh token, and how long it has been that.
-- $1 session ids
select
    s.id,
    s.user_id,
    u.username,
    u.email,
    u.is_staff,
    u.role,
    u.account_fields,
    s.rotation,
    now() - s.rotated_at as rotated_ago
from sessions s
join users u on u.id = s.user_id
where s.id = any($1::uuid[]) and s.expires_at > now() and u.is_active
