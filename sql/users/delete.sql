-- Delete an account and, by cascade, everything that belongs to it: its id, and whether it was staff.
-- $1 id
delete from users
where id = $1
returning id, is_staff
