-- Change what is given and leave the rest: the user object, or no row.
-- shape: users/find
-- $1 id, $2 email or null, $3 is_active or null
update users
set
    email = coalesce($2, email),
    is_active = coalesce($3, is_active)
where id = $1
returning email, id, username, role
