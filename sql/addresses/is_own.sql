-- One row when an address, spelt the same, is that of the account already.
-- $1 user id, $2 email
select id from users where id = $1 and email = $2
