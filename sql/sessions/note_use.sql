-- Note that sessions were used just now. Sessions that were noted a moment ago are left as they are; locked ones too,
-- so that no statement waits. A session that ends when it is not used gets a new end; without that, no indexed column
-- changes.
-- $1 session ids, $2 the account of each, $3 seconds for which a note is good enough, $4 idle lifetime in seconds, or 0,
-- $5 lifetime of a refresh token in seconds, $6 lifetime of a session in seconds
with held as (
    select s.id
    from sessions s
    join unnest($1::uuid[], $2::bigint[]) as used (id, user_id) on used.id = s.id and used.user_id = s.user_id
    where s.expires_at > now() and s.last_used_at < now() - make_interval(secs => $3::double precision)
    for no key update of s skip locked
)
update sessions s
set
    last_used_at = now(),
    expires_at = case
        when $4::double precision > 0 then least(
            now() + make_interval(secs => $4::double precision),
            coalesce(s.rotated_at, s.opened_at) + make_interval(secs => $5::double precision),
            s.opened_at + make_interval(secs => $6::double precision)
        )
        else s.expires_at
    end
from held
where s.id = held.id
