-- Change the role of an account, or remove it: the user object, or no row. A trigger makes its role fields.
-- shape: users/find
-- $1 id, $2 role or null
update users
set role = $2
where id = $1
returning email, id, username, role, account_fields
