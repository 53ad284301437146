-- The id and the password hash that a sign-in is checked against: one row, or none for an unknown name.
-- Does not look at is_active: sessions/open does.
-- $1 username in any of its spellings
select id, password
from users
where username_key = username_key($1::text)
