-- A page of the sessions of an account, the one that was opened first at the beginning. Sorts the sessions of the account.
-- $1 user id, $2 time of opening and $3 id of the session after which the page begins, or nulls, $4 rows at most
select
    id::text as id,
    host(address) as address,
    device,
    opened_at,
    last_used_at,
    expires_at
from sessions
where user_id = $1 and ($2::timestamptz is null or (opened_at, id) > ($2, $3::uuid))
order by opened_at, id
limit $4
