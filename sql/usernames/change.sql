-- Put another username in force: the account's id, or no row when it is gone.
-- $1 user id, $2 username
update users
set username = $2
where id = $1
returning id, email
