-- Who asks in each session: one row for each that lives and whose account is active, the session's id first.
-- Why there is none for another says sessions/explain.
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
