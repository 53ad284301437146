-- Activate an account that waits for its activation: its id, or no row when it does not wait.
-- $1 user id
update users
set is_active = true, awaits_activation = false
where id = $1 and awaits_activation
returning id
