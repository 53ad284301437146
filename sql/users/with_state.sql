-- Accounts with what staff see of them, in the order of the ids, and whether another one comes after each. It ends early
-- after a million bytes of fields, as users/list (security 36).
-- Joined: at the site that an imported account comes from, else null when the owner deleted the profile. Last sign-in: of
-- the events that are kept, else at that site. At most 1,000 sessions are counted.
-- $1 ids
with page as (
    select
        u.email,
        u.id,
        u.username,
        u.role,
        u.account_fields,
        u.is_active,
        u.is_staff,
        u.awaits_activation,
        u.pending_email,
        u.date_joined as joined_elsewhere,
        u.last_login as last_login_elsewhere,
        g.place
    from unnest($1::bigint[]) with ordinality as g (id, place)
    join users u on u.id = g.id
),

measured as (
    select
        page.*,
        lead(id) over rows_before is not null as has_next,
        sum(coalesce(octet_length(account_fields::text), 0)) over rows_before as bytes_before
    from page
    window rows_before as (order by place rows between unbounded preceding and 1 preceding)
)

select
    email,
    id,
    username,
    role,
    account_fields,
    is_active,
    is_staff,
    awaits_activation,
    pending_email,
    coalesce(
        joined_elsewhere,
        (select p.date_joined from profiles p where p.user_id = measured.id)
    ) as date_joined,
    coalesce(
        (
            select e.happened_at
            from events e
            where e.user_id = measured.id and e.kind = 'signed_in'
            order by e.id desc
            limit 1
        ),
        last_login_elsewhere
    ) as last_login,
    (
        select count(*)
        from (select 1 from sessions s where s.user_id = measured.id and s.expires_at > now() limit 1000) as living
    ) as sessions,
    has_next
from measured
where coalesce(bytes_before, 0) <= 1000000
order by place
