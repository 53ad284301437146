-- The key of the username of the owner of a profile: one row, username_key; no row when the profile does not exist.
-- $1 id of the profile
select u.username_key
from profiles p
join users u on u.id = p.user_id
where p.id = $1
