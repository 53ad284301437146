-- Make a profile for an account that has none: the row, or no row when it has one already.
-- shape: profiles/find
-- $1 user id, $2 description or null, $3 location or null, $4 is_creator or null
with made as (
    insert into profiles (user_id, description, location, is_creator)
    values ($1, $2, coalesce($3, ''), coalesce($4, false))
    on conflict (user_id) do nothing
    returning id, user_id, description, location, date_joined, updated_on, is_creator
)

select
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
from made p
join users u on u.id = p.user_id
left join role_fields f on f.user_id = u.id and f.role = u.role
where u.id = $1
