-- Use a token, once: its purpose, or no row when it is unknown, expired or used.
-- Locks the account before its token, as a change of the password or the address does, so that there is no deadlock.
-- $1 user id, $2 accepted purposes, $3 hash
with held as (
    select id
    from users
    where id = $1
    for no key update
)
update one_time_tokens t
set used_at = now()
from held
where t.user_id = held.id and t.purpose = any($2::text[]) and t.hash = $3 and t.expires_at > now() and t.used_at is null
returning t.purpose
