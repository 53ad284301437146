-- The account of a username or an address, for the command line: its id, or no row.
-- A username wins; an address that several accounts share (UNIQUE_EMAIL=false) names none of them.
-- $1 username in any of its spellings, or an address
with named as (
    select id, username_key = username_key($1::text) as by_name
    from users
    where username_key = username_key($1::text) or (email_key = email_key($1::text) and email_key <> '')
)
select id
from named
where by_name or (not exists (select 1 from named where by_name) and (select count(*) from named) = 1)
