-- Refresh with rotation (security 19, 20): what was done, and the session's present refresh token; no row when the
-- session has ended. The present token makes way for the next one. The one before it gets the same successor for a
-- while. An older one is a replay: the session ends. A number above the row's comes from before the database was
-- restored from a backup, and counts as the present one.
-- Simultaneous statements wait for the row, and then see what the first one did: the conditions are checked again.
-- $1 session id, $2 user id, $3 number of the token, $4 grace in seconds, $5 lifetime of a session in seconds,
-- $6 lifetime of a session that is not used, in seconds
merge into sessions s
using (select u.id, u.role from users u where u.id = $2 and u.is_active) as account
on s.id = $1
    and s.user_id = account.id
    and s.expires_at > now()
    and s.opened_at + make_interval(secs => $5::double precision) > now()
when matched and s.rotation <= $3::integer then update set
    rotation = $3::integer + 1,
    rotated_at = now(),
    last_used_at = now(),
    expires_at = least(
        s.opened_at + make_interval(secs => $5::double precision),
        now() + make_interval(secs => $6::double precision)
    )
when matched
    and s.rotation = $3::integer + 1
    and s.rotated_at + make_interval(secs => $4::double precision) > now()
    then update set last_used_at = greatest(s.last_used_at, now())
when matched then delete
returning
    merge_action() as action,
    account.role,
    s.rotation,
    s.rotated_at,
    s.opened_at
