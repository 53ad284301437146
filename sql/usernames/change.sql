-- Change a username: the account's id and email, or no row when the account does not exist.
-- $1 user id, $2 username
update users
set username = $2
where id = $1
returning id, email
