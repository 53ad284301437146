-- The same by username, the last first.
-- $1 key of the username before which the page begins, or null, $2 rows at most,
-- $3 text that finds accounts or null, $4 is_active or null, $5 is_staff or null,
-- $6 awaits_activation or null, $7 role or null,
-- $8 whether the text is looked for in usernames alone
select u.id
from users u
where u.username_key is not null and ($1::text is null or u.username_key < $1)
    and ($3::text is null or case when $8 then is_found_by_name(u, $3::text) else is_found(u, $3::text) end)
    and ($4::boolean is null or u.is_active = $4)
    and ($5::boolean is null or u.is_staff = $5)
    and ($6::boolean is null or u.awaits_activation = $6)
    and ($7::text is null or u.role = $7)
order by u.username_key desc
limit $2
