-- Activate an account that waits for it: its id, or no row.
-- $1 user id
update users
set is_active = true, awaits_activation = false
where id = $1 and awaits_activation
returning id
