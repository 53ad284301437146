-- End all API tokens of all accounts.
update api_tokens
set generation = generation + 1, hash = null
