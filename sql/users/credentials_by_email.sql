-- shape: users/credentials
-- The id and the password hash that a sign-in by e-mail is checked against: one row, or none for an unknown address.
-- Leaves out accounts that wait for their activation: an address that is not confirmed yet must not keep an account
-- with a username like it from signing in.
-- $1 email, in any case
select id, password
from users
where email_key = email_key($1::text) and email_key <> '' and not awaits_activation
