-- shape: users/credentials
-- What a sign-in by e-mail is checked against: id, password hash. One row, or none for an unknown address.
-- $1 email, whatever its case
select id, password
from users
where email_key = email_key($1::text) and email_key <> ''
