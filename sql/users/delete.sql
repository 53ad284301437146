-- Delete an account and, by cascade, everything that belongs to it: its id.
-- $1 id
delete from users
where id = $1
returning id
