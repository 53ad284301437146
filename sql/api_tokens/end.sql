-- End the API token of an account; the next login makes a new one: the account's id, or no row when it had none.
-- The account is locked first, as by a login, so that the two run one after the other.
-- $1 user id
with locked as (
    select id
    from users
    where id = $1
    for no key update
)
update api_tokens t
set generation = generation + 1, hash = null
from locked
where t.user_id = locked.id
returning t.user_id
