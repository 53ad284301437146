-- Which token of an account is the present one: its generation, or no row before the first login.
-- $1 user id
select generation
from api_tokens
where user_id = $1
