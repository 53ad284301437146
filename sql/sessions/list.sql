-- A page of the living sessions of an account, the one that was used last first.
-- Sorts the sessions of the account: an index on last_used_at would have to follow each note of use.
-- $1 user id, $2 time of the last use and $3 id of the session after which the page begins, or nulls, $4 rows at most
select
    id,
    host(address) as address,
    device,
    opened_at,
    last_used_at,
    expires_at
from sessions
where user_id = $1 and expires_at > now() and ($2::timestamptz is null or (last_used_at, id) < ($2, $3::uuid))
order by last_used_at desc, id desc
limit $4
