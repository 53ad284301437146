-- Remove a letter that was sent or withdrawn, or a request that was answered: its id, or no row when there is
-- none.
-- $1 id
delete from letters
where id = $1
returning id
