-- Profiles in the order of the ids, and whether another one comes after each. It ends early after a million bytes of
-- texts, as profiles/list (security 36).
-- shape: profiles/find and has_next
-- $1 ids
with page as (
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
        f.fields,
        g.place
    from unnest($1::bigint[]) with ordinality as g (id, place)
    join profiles p on p.id = g.id
    join users u on u.id = p.user_id
    left join role_fields f on f.user_id = u.id and f.role = u.role
),

measured as (
    select
        page.*,
        lead(id) over rows_before is not null as has_next,
        sum(
            coalesce(octet_length(description), 0)
            + coalesce(octet_length(fields::text), 0)
            + coalesce(octet_length(account_fields::text), 0)
        ) over rows_before as bytes_before
    from page
    window rows_before as (order by place rows between unbounded preceding and 1 preceding)
)

select
    id,
    user_id,
    username,
    email,
    account_fields,
    description,
    location,
    date_joined,
    updated_on,
    is_creator,
    role,
    fields,
    has_next
from measured
where coalesce(bytes_before, 0) <= 1000000
order by place
