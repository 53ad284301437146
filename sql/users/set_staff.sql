-- Make an account staff, or not: its id, or no row when that is so already or the account does not exist.
-- $1 id, $2 is_staff
update users
set is_staff = $2
where id = $1 and is_staff <> $2
returning id
