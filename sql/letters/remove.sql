-- A letter is sent, withdrawn, or looked into: its id, or no row when somebody removed it before.
-- $1 id
delete from letters
where id = $1
returning id
