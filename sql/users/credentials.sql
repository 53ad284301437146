-- What a sign-in is checked against: id, password hash. One row, or none for an unknown name.
-- Whether the account is active is asked once, where its session is opened.
-- $1 username in any of its spellings
select id, password
from users
where username_key = username_key($1::text)
