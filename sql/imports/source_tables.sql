-- The tables of a Django site, in its database: one row; user_table is null when there is none. `user_key` is the primary
-- key and `user_key_type` its type, `profile_table` the table of contract 2 and `profile_key` its reference to the user.
-- Names are quoted where they must be.
-- $1 the table of the users; null: the one that the tables of Django's own applications refer to, else auth_user
with users_at as (
    select coalesce(
        to_regclass($1::text),
        (
            select c.confrelid::regclass
            from pg_constraint c
            where $1::text is null
                and c.contype = 'f'
                and c.conrelid in (
                    to_regclass('authtoken_token'),
                    to_regclass('token_blacklist_outstandingtoken'),
                    to_regclass('django_admin_log')
                )
                and (
                    select a.attname = 'user_id'
                    from pg_attribute a
                    where a.attrelid = c.conrelid and a.attnum = c.conkey[1]
                )
            limit 1
        ),
        case when $1::text is null then to_regclass('auth_user') end
    ) as place
),

primary_key as (
    select a.attname, a.atttypid
    from users_at
    join pg_index i on i.indrelid = users_at.place and i.indisprimary
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
),

profiles_at as (
    select c.conrelid::regclass as place, a.attname
    from users_at
    join pg_constraint c on c.contype = 'f' and c.confrelid = users_at.place and cardinality(c.conkey) = 1
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join pg_index i on i.indrelid = c.conrelid and i.indisunique and i.indnatts = 1 and i.indkey[0] = a.attnum
    where (
        select count(*)
        from pg_attribute f
        where f.attrelid = c.conrelid and f.attname in ('id', 'description', 'location', 'is_creator')
    ) = 4
    limit 1
)

select
    users_at.place::text as user_table,
    quote_ident((select attname from primary_key)) as user_key,
    (select atttypid::regtype::text from primary_key) as user_key_type,
    (select place::text from profiles_at) as profile_table,
    quote_ident((select attname from profiles_at)) as profile_key,
    to_regclass('authtoken_token') is not null as has_tokens,
    to_regclass('token_blacklist_blacklistedtoken') is not null as has_blacklist
from users_at
