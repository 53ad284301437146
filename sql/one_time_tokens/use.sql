-- Use up a token, once: its purpose, or no row when it is unknown, expired or used.
-- $1 user id, $2 purposes that would do, $3 hash
update one_time_tokens
set used_at = now()
where user_id = $1 and purpose = any($2::text[]) and hash = $3 and expires_at > now() and used_at is null
returning purpose
