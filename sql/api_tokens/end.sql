-- End the API token of an account; the next login makes a new one: the account's id, and whether the token was valid, or
-- no row when there was never one.
-- The account is locked first, as by a login, so that the two run one after the other.
-- $1 user id
with locked as (
    select id
    from users
    where id = $1
    for no key update
)
update api_tokens t
set generation = t.generation + 1, hash = null
from locked
join api_tokens before on before.user_id = locked.id
where t.user_id = locked.id
returning
    t.user_id,
    before.hash is not null or (before.imported_hash is not null and before.generation = 0) as was_valid
