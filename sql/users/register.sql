-- A new account: the user object. The trigger makes its profile in the same statement.
-- $1 username, $2 email, $3 password hash, $4 whether it is staff, $5 whether it waits for activation, $6 language
insert into users (username, email, password, is_staff, is_active, awaits_activation, language)
values ($1, $2, $3, $4, not $5, $5, $6)
returning email, username, id
