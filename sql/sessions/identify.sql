-- The account of each session: one row for each session that has not expired and whose account is active, the session's
-- id first. sessions/explain says why there is no row.
-- $1 session ids
select
    s.id,
    s.user_id,
    u.username,
    u.email,
    u.is_staff,
    u.role,
    u.account_fields
from sessions s
join users u on u.id = s.user_id
where s.id = any($1::uuid[]) and s.expires_at > now() and u.is_active
