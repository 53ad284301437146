-- Give an account a role, or none: the user object, or no row. The trigger makes the role's part of its profile.
-- shape: users/find
-- $1 id, $2 role or null
update users
set role = $2
where id = $1
returning email, id, username, role, account_fields
