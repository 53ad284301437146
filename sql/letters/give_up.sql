-- A try failed and no other follows: the id, or no row when another worker has taken the letter since.
-- $1 id, $2 number of the try, $3 why it failed
update letters
set given_up_at = now(), fault = $3
where id = $1 and tries = $2
returning id
