-- Change a password: the account's id and email, or no row when the password was changed meanwhile or the account
-- does not exist. Other statements end its sessions and its API token: this one would not see a session that is
-- opened meanwhile.
-- $1 user id, $2 password hash that was checked, or null when a letter's token was checked instead, $3 new hash
update users
set password = $3
where id = $1 and ($2::text is null or password = $2)
returning id, email
