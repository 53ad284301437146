-- The account of a username, an address or an id, for the command line: its id, or no row.
-- A username wins, then an address; an address that several accounts share (UNIQUE_EMAIL=false) names none of them.
-- $1 username in any of its spellings, an address, or the digits of an id
with named as (
    select
        id,
        case
            when username_key = username_key($1::text) then 1
            when email_key = email_key($1::text) and email_key <> '' then 2
            else 3
        end as precedence
    from users
    where username_key = username_key($1::text)
        or (email_key = email_key($1::text) and email_key <> '')
        or id = case when $1::text ~ '^[0-9]{1,18}$' then $1::text::bigint end
)
select id
from named
where precedence = (select min(precedence) from named)
    and (select count(*) from named as alike where alike.precedence = named.precedence) = 1
