-- Remove an account and, by cascade, all that is its own: id.
-- $1 id
delete from users
where id = $1
returning id
