-- Make the token of a generation valid: the account's id, or no row when the account is inactive, or its password or
-- the token's generation has changed. The account is locked first, so that simultaneous logins run one after the
-- other: two inserts of one hash at the same moment would violate api_tokens_hash_key, which "on conflict (user_id)"
-- does not cover.
-- $1 user id, $2 password hash that was checked, $3 generation, $4 hash of the token
insert into api_tokens (user_id, generation, hash)
select id, $3::bigint, $4::bytea
from users
where id = $1 and is_active and password = $2
for no key update
on conflict (user_id) do update
set hash = excluded.hash
where api_tokens.generation = excluded.generation
returning user_id
