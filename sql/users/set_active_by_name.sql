-- Activate or deactivate an account by its username, for the command line: its id. A trigger ends its sessions.
-- $1 username in any of its spellings, $2 is_active
update users
set is_active = $2
where username_key = username_key($1::text)
returning id
