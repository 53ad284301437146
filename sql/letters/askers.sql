-- The accounts of an address, in whatever case it was typed, that may have the link asked for: their ids.
-- Who has no password that fits has not chosen one here, and gets no link to choose one.
-- $1 address, $2 kind
select id
from users
where email_key = email_key($1::text)
    and email_key <> ''
    and password not like '!%'
    and case $2::text when 'activation' then awaits_activation else is_active end
order by id
