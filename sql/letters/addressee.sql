-- The account that a letter goes to, as it is now: one row, or none when the account does not exist.
-- $1 user id
select id, username, email, pending_email, language, account_fields
from users
where id = $1
