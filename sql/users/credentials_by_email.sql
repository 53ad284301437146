-- shape: users/credentials
-- The same for a sign-in by e-mail: one row, or none for an unknown address.
-- Leaves out accounts that wait for their activation: an address that is not confirmed yet must not keep an account
-- with a username like it from signing in.
-- $1 email, in any case, $2 network or null
select
    id,
    password,
    exists (select 1 from sign_in_networks n where n.user_id = u.id and n.network = $2::text::inet) as knows_network
from users u
where email_key = email_key($1::text) and email_key <> '' and not awaits_activation
