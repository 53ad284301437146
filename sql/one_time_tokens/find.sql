-- Whether an account's token was used: one row for a token that has not expired, or none for an unknown one.
-- $1 user id, $2 accepted purposes, $3 hash
select purpose, used_at is not null as is_used
from one_time_tokens
where user_id = $1 and purpose = any($2::text[]) and hash = $3 and expires_at > now()
