-- Who holds each session: one row for each that is asked for, the session's id first, then the user id asked about.
-- Account and session are joined loosely, because an account that is gone took its sessions with it and both must be told apart.
-- $1 session ids, $2 the user id that each token names
select
    asked.session_id,
    asked.user_id,
    u.id,
    u.username,
    u.email,
    u.is_staff,
    u.is_active,
    u.role,
    s.id is not null as is_alive
from unnest($1::uuid[], $2::bigint[]) as asked (session_id, user_id)
left join users u on u.id = asked.user_id
left join sessions s on s.id = asked.session_id and s.user_id = asked.user_id and s.expires_at > now()
