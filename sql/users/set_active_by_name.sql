-- Activate or deactivate accounts by username or address, for the command line: their ids. A trigger ends the sessions.
-- A username wins; an address that several accounts share (UNIQUE_EMAIL=false) names none of them.
-- $1 username in any of its spellings, or an address, $2 is_active
with named as (
    select id, username_key = username_key($1::text) as by_name
    from users
    where username_key = username_key($1::text) or (email_key = email_key($1::text) and email_key <> '')
), chosen as (
    select id
    from named
    where by_name or (not exists (select 1 from named where by_name) and (select count(*) from named) = 1)
)
update users u
set is_active = $2
from chosen
where u.id = chosen.id
returning u.id
