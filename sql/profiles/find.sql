-- Profiles by id: one row for each that exists, the id first.
-- $1 ids
select
    p.id,
    p.user_id,
    u.username as "user",
    p.description,
    p.location,
    p.date_joined,
    p.updated_on,
    p.is_creator
from profiles p
join users u on u.id = p.user_id
where p.id = any($1::bigint[])
