-- Remove a profile; the account stays: its id.
-- $1 id, $2 user id of its owner
delete from profiles
where id = $1 and user_id = $2
returning id
