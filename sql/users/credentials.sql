-- The id and the password hash that a sign-in is checked against, and whether the account has signed in from a network
-- before: one row, or none for an unknown name.
-- Does not look at is_active: sessions/open does.
-- $1 username in any of its spellings, $2 network or null
select
    id,
    password,
    exists (select 1 from sign_in_networks n where n.user_id = u.id and n.network = $2::text::inet) as knows_network
from users u
where username_key = username_key($1::text)
