-- Write the profile fields of a new account, whose profile its trigger has made: the profile's id. Null leaves a field
-- unchanged.
-- $1 user id, $2 description or null, $3 location or null, $4 is_creator or null
update profiles
set
    description = coalesce($2, description),
    location = coalesce($3, location),
    is_creator = coalesce($4, is_creator)
where user_id = $1
returning id
