-- A page of accounts with what an import can make of them again, in the order of the ids.
-- $1 id after which the page begins, $2 rows at most
select
    u.id,
    u.username,
    u.email,
    u.password,
    u.is_active,
    u.is_staff,
    u.awaits_activation,
    u.language,
    u.role,
    f.fields as role_fields,
    u.account_fields,
    coalesce(u.date_joined, p.date_joined) as date_joined,
    coalesce(
        (
            select e.happened_at
            from events e
            where e.user_id = u.id and e.kind = 'signed_in'
            order by e.id desc
            limit 1
        ),
        u.last_login
    ) as last_login,
    p.id as profile_id,
    p.description,
    p.location,
    p.is_creator,
    p.date_joined as profile_joined,
    p.updated_on as profile_updated
from users u
left join profiles p on p.user_id = u.id
left join role_fields f on f.user_id = u.id and f.role = u.role
where u.id > $1
order by u.id
limit $2
