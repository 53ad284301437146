-- A page of events, the newest first, without those that do not match every filter that is not null.
-- $1 id before which the page begins, $2 account or null, $3 kind or null, $4 from this time on or null,
-- $5 before this time or null, $6 rows at most
select
    id,
    kind,
    happened_at,
    user_id,
    actor_id,
    command,
    host(address) as address,
    device,
    request_id,
    details
from events
where id < $1
    and ($2::bigint is null or user_id = $2)
    and ($3::text is null or kind = $3)
    and ($4::timestamptz is null or happened_at >= $4)
    and ($5::timestamptz is null or happened_at < $5)
order by id desc
limit $6
