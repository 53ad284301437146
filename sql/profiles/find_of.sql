-- Profiles by their owners: one row for each owner that has one, the owner's id first.
-- $1 ids of accounts
select
    p.user_id,
    p.id,
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
where p.user_id = any($1::bigint[])
