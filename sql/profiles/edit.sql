-- Change the given fields of profiles: the changed rows. Rows that another transaction has locked are left out.
-- shape: profiles/find
-- No order of rows is needed: with "skip locked" no statement waits, so there is no deadlock. users joins on true
-- because only the where clause may name the updated table.
-- $1 ids, $2 the account that each must belong to, $3 the given fields of each, as JSON objects
with held as (
    select p.id
    from profiles p
    -- Rows of others are not locked: their owners would have to wait.
    where p.id = any($1::bigint[]) and p.user_id = any($2::bigint[])
    for no key update skip locked
)
update profiles p
set
    description = case when v.given ? 'description' then v.given ->> 'description' else p.description end,
    location = coalesce(v.given ->> 'location', p.location),
    is_creator = coalesce((v.given ->> 'is_creator')::boolean, p.is_creator)
from held
join unnest($1::bigint[], $2::bigint[], $3::jsonb[]) as v (id, user_id, given) on v.id = held.id
join users u on true
left join role_fields f on f.user_id = u.id and f.role = u.role
where p.id = held.id and p.user_id = v.user_id and u.id = p.user_id
returning
    p.id,
    p.user_id,
    u.username,
    u.email,
    u.account_fields,
    p.description,
    p.location,
    p.date_joined,
    p.updated_on,
    p.is_creator,
    u.role,
    f.fields
