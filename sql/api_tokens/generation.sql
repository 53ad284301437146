-- The generation of an account's API token, or no row before the first login.
-- $1 user id
select generation
from api_tokens
where user_id = $1
