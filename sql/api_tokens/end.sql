-- End the API token of an account; the next login makes a new one: the account's id, or no row when it had none.
-- $1 user id
update api_tokens
set generation = generation + 1, hash = null
where user_id = $1
returning user_id
