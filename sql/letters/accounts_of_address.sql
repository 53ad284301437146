-- The accounts with an address, in any case, that may have the requested link: their ids.
-- An account whose password begins with "!" has no usable password, and gets no link to set one.
-- $1 address, $2 kind
select id
from users
where email_key = email_key($1::text)
    and email_key <> ''
    and password not like '!%'
    and case when $2::text = 'activation' then awaits_activation else is_active end
order by id
