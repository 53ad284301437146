-- The same by username, the last first.
-- $1 key of the username before which the page begins, or null, $2 rows at most,
-- $3 text that finds the username or null, $4 role or null,
-- $5 whether profiles of deactivated accounts are included
select p.id
from users u
join profiles p on p.user_id = u.id
where u.username_key is not null and ($1::text is null or u.username_key < $1)
    and ($3::text is null or is_found_by_name(u, $3::text))
    and ($4::text is null or u.role = $4)
    and (u.is_active or $5)
order by u.username_key desc
limit $2
