-- The same, the newest first.
-- $1 id before which the page begins, $2 rows at most, $3 text that finds the username or null, $4 role or null,
-- $5 whether profiles of deactivated accounts are included
select p.id
from profiles p
join users u on u.id = p.user_id
where p.id < $1
    and ($3::text is null or is_found_by_name(u, $3::text))
    and ($4::text is null or u.role = $4)
    and (u.is_active or $5)
order by p.id desc
limit $2
