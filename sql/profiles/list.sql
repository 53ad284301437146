-- A page of profiles by id.
-- shape: profiles/find
-- $1 id after which the page begins, $2 rows at most, $3 whether profiles of deactivated accounts are included
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
from profiles p
join users u on u.id = p.user_id
left join role_fields f on f.user_id = u.id and f.role = u.role
where p.id > $1 and (u.is_active or $3)
order by p.id
limit $2
