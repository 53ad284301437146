-- Accounts with names of several scripts, some of them staff, deactivated, waiting or with a role.
-- load.accounts: how many.

-- Without triggers: they would take minutes for a million rows.
set session_replication_role = replica;

with syllables as (
    select array[
        'an', 'bo', 'ka', 'ri', 'mel', 'to', 'sha', 'ne', 'li', 'ver', 'dan', 'os', 'ku', 'per', 'mar', 'ia', 'jo', 'el',
        'fin', 'gus', 'ху', 'ма', 'рия', 'ов', '中', '王'
    ] as s
)

insert into users (username, email, is_staff, is_active, awaits_activation, role)
select
    (
        select string_agg(s[1 + (hashint4(n * 3 + i) & 2147483647) % 26], '')
        from syllables, generate_series(0, 2) as i
    ) || n,
    'person' || n || '@' || (array['gmail.com', 'example.com', 'mail.ru', 'uni-lisboa.pt'])[1 + n % 4],
    n % 100000 = 0,
    n % 50 <> 0,
    n % 500 = 0,
    case when n % 1000 = 0 then 'principal' when n % 10 < 5 then 'student' end
from generate_series(1, current_setting('load.accounts')::int) as n
order by n;

insert into profiles (user_id, description, location)
select id, 'Number ' || id || ' of the film club.', 'Lisbon'
from users
order by id;

insert into sessions (user_id, expires_at)
select id, now() + interval '1 year'
from users
order by id;

insert into events (kind, user_id, actor_id)
select 'signed_in', id, id
from users
order by id;

reset session_replication_role;
