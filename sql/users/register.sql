-- A new account: the user object. The trigger makes its profile in the same statement.
-- $1 username, $2 email, $3 password hash, $4 whether it is staff
insert into users (username, email, password, is_staff)
values ($1, $2, $3, $4)
returning email, username, id
