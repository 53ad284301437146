-- shape: users/credentials
-- What a sign-in by e-mail is checked against: id, password hash. One row, or none for an unknown address.
-- Whoever has yet to show that the address is theirs keeps nobody with a username like it from signing in.
-- $1 email, whatever its case
select id, password
from users
where email_key = email_key($1::text) and email_key <> '' and not awaits_activation
