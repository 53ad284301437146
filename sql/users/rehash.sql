-- Replace a password hash by a stronger one of the same password, unless the password was changed meanwhile: the id.
-- $1 id, $2 hash that was checked, $3 new hash
update users
set password = $3
where id = $1 and password = $2
returning id
