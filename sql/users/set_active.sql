-- Activate or deactivate an account: the user object, or no row.
-- shape: users/find
-- $1 id, $2 is_active
update users
set is_active = $2
where id = $1
returning email, id, username, role, account_fields
