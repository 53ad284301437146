-- Put another password in force: the account's id, or no row when the password was changed meanwhile or it is gone.
-- Its sessions and its API token are ended by statements of their own: this one would not see those opened meanwhile.
-- $1 user id, $2 hash that was checked, or null where a letter's token stands for it, $3 new hash
update users
set password = $3
where id = $1 and ($2::text is null or password = $2)
returning id, email
