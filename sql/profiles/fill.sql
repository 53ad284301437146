-- What a new account says in its profile, which its trigger has made: the profile's id. Null leaves as it is.
-- $1 user id, $2 description or null, $3 location or null, $4 is_creator or null
update profiles
set
    description = coalesce($2, description),
    location = coalesce($3, location),
    is_creator = coalesce($4, is_creator)
where user_id = $1
returning id
