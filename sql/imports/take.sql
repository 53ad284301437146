-- Make imported accounts with what belongs to them: the places of those that were made. An id, a name or an address that
-- is another account's leaves the account out; a profile id that is another profile's is replaced by a new one.
-- $1 the accounts, of which no two have one id: a JSON array of objects with the columns of `given`, those of the profile
-- may be absent, and api_token is the hash of a token in hexadecimal digits; $2 the command that imports them
with given as materialized (
    select
        g.*,
        coalesce(g.id, nextval('users_id_seq')) as user_id
    from jsonb_to_recordset($1::jsonb) as g (
        place bigint,
        id bigint,
        username text,
        email text,
        password text,
        is_staff boolean,
        is_active boolean,
        awaits_activation boolean,
        language text,
        role text,
        role_fields jsonb,
        account_fields jsonb,
        date_joined timestamptz,
        last_login timestamptz,
        adopts_tokens boolean,
        api_token text,
        profile_id bigint,
        description text,
        location text,
        is_creator boolean,
        profile_joined timestamptz,
        profile_updated timestamptz
    )
),

made as (
    insert into users (
        id, username, email, password, is_staff, is_active, awaits_activation, language, role, account_fields,
        date_joined, last_login, adopts_tokens
    )
    select
        user_id, username, email, password, is_staff, is_active, awaits_activation, language, role, account_fields,
        date_joined, last_login, adopts_tokens and is_active
    from given
    order by place
    on conflict do nothing
    returning id
),

profiles_made as (
    insert into profiles (id, user_id, description, location, is_creator, date_joined, updated_on)
    select
        coalesce(g.profile_id, nextval('profiles_id_seq')),
        g.user_id,
        g.description,
        coalesce(g.location, ''),
        coalesce(g.is_creator, false),
        coalesce(g.profile_joined, g.date_joined, now()),
        coalesce(g.profile_updated, g.profile_joined, g.date_joined, now())
    from given g
    join made on made.id = g.user_id
    on conflict do nothing
),

role_fields_made as (
    insert into role_fields (user_id, role, fields)
    select g.user_id, g.role, g.role_fields
    from given g
    join made on made.id = g.user_id
    where g.role is not null and g.role_fields is not null
),

api_tokens_made as (
    insert into api_tokens (user_id, imported_hash)
    select g.user_id, decode(g.api_token, 'hex')
    from given g
    join made on made.id = g.user_id
    where g.api_token is not null and g.is_active
    on conflict do nothing
),

recorded as (
    insert into events (kind, user_id, command)
    select 'imported', made.id, $2
    from made
    order by made.id
)

select g.place
from given g
join made on made.id = g.user_id
