-- A page of user objects by id, and whether another row comes after each. It ends early after a million bytes of fields
-- (security 36): no page holds more, and 1,000 rows may have 16 MB.
-- shape: users/find and has_next
-- $1 id after which the page begins, $2 rows at most, $3 whether deactivated accounts are included
with page as (
    select email, id, username, role, account_fields
    from users
    where id > $1 and (is_active or $3)
    order by id
    limit $2
),

measured as (
    select
        page.*,
        lead(id) over rows_before is not null as has_next,
        sum(coalesce(octet_length(account_fields::text), 0)) over rows_before as bytes_before
    from page
    window rows_before as (order by id rows between unbounded preceding and 1 preceding)
)

select email, id, username, role, account_fields, has_next
from measured
where coalesce(bytes_before, 0) <= 1000000
order by id
