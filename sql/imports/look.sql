-- What stands in the way of accounts that are to be imported: one row for each account of this database that one of them
-- meets: its place among the given ones, whether it is that account already, and whose is what: by = id, username or email.
-- It is that account when it has the id and one of name and address; without an id, when it has the name (or there is
-- none) and the address. Addresses may be shared when UNIQUE_EMAIL is off.
-- An account that was never activated and has expired gives its name and its address to another one, not its id: it is
-- that account already, or in the way until it is swept.
-- $1 the accounts, a JSON array of objects with place, id or null, username or null, email
with given as materialized (
    select
        place,
        id,
        username_key(username) as name_key,
        coalesce(email_key(email), '') as address_key,
        sign_in_key(username) as name_login,
        sign_in_key(nullif(email, '')) as address_login
    from jsonb_to_recordset($1::jsonb) as g (place bigint, id bigint, username text, email text)
),

met as (
    select g.place, u.id, 'id' as by
    from given g
    join users u on u.id = g.id
    union
    select g.place, u.id, 'username'
    from given g
    join users u on u.username_key = g.name_key
    union
    select g.place, u.id, 'email'
    from given g
    join users u on u.email_key = g.address_key and u.email_key <> ''
    where to_regclass('users_email_key') is not null or g.id is null and g.name_key is null
    union
    select g.place, k.user_id, 'username'
    from given g
    join sign_in_keys k on k.key = g.name_login
    union
    select g.place, k.user_id, 'email'
    from given g
    join sign_in_keys k on k.key = g.address_login
)

select
    met.place,
    met.id,
    met.by,
    case
        when g.id = met.id then u.username_key = g.name_key or (u.email_key = g.address_key and g.address_key <> '')
        when g.id is null then u.username_key is not distinct from g.name_key and u.email_key = g.address_key
    end is true as is_there
from met
join given g on g.place = met.place
join users u on u.id = met.id
where met.by = 'id' or not gives_way(u)
order by met.place, met.id, met.by
