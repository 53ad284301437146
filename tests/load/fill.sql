-- Accounts person1, person2, …, each with a profile and a session that is valid for a year.
-- load.accounts: how many; load.password: the password hash of all of them.

-- Without triggers: they would take minutes for a million rows.
set session_replication_role = replica;

insert into users (username, email, password)
select 'person' || n, 'person' || n || '@example.com', current_setting('load.password')
from generate_series(1, current_setting('load.accounts')::int) n
order by n;

insert into profiles (user_id, description, location, is_creator)
select id, 'Number ' || id || ' of the film club.', 'Lisbon', id % 2 = 0
from users
order by id;

insert into sessions (user_id, expires_at)
select id, now() + interval '1 year'
from users
order by id;

reset session_replication_role;
