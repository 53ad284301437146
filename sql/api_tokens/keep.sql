-- Let the token of a generation be good: the account's id, or no row when the account is inactive, has another password
-- by now, or another generation.
-- $1 user id, $2 password hash that was checked, $3 generation, $4 hash of the token
insert into api_tokens (user_id, generation, hash)
select id, $3::bigint, $4::bytea
from users
where id = $1 and is_active and password = $2
for share
on conflict (user_id) do update
set hash = excluded.hash
where api_tokens.generation = excluded.generation
returning user_id
