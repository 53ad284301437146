-- A page of the living sessions of an account, by id.
-- $1 user id, $2 id after which the page begins, $3 rows at most
select
    id,
    host(address) as address,
    device,
    opened_at,
    last_used_at,
    expires_at
from sessions
where user_id = $1 and id > $2 and expires_at > now()
order by id
limit $3
