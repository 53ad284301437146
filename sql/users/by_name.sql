-- The accounts that a name may mean, for the command line: their ids, and what the name is of each.
-- An address that several accounts share (UNIQUE_EMAIL=false) gives several rows.
-- $1 username in any of its spellings, an address, or the digits of an id
select
    id,
    case
        when username_key = username_key($1::text) then 'username'
        when email_key = email_key($1::text) and email_key <> '' then 'address'
        else 'id'
    end as of
from users
where username_key = username_key($1::text)
    or (email_key = email_key($1::text) and email_key <> '')
    or id = case when $1::text ~ '^[0-9]{1,18}$' then $1::text::bigint end
order by id
limit 10
