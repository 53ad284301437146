-- The password hash of an account, and whether the account has signed in from a network before.
-- $1 id, $2 network or null
select
    password,
    exists (select 1 from sign_in_networks n where n.user_id = u.id and n.network = $2::text::inet) as knows_network
from users u
where id = $1
