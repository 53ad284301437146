-- A token of an account that has not expired: whether it was used. One row, or none for an unknown one.
-- $1 user id, $2 purposes that would do, $3 hash
select purpose, used_at is not null as is_used
from one_time_tokens
where user_id = $1 and purpose = any($2::text[]) and hash = $3 and expires_at > now()
