-- A try failed and another follows: the id, or no row when another worker has taken the letter since.
-- $1 id, $2 number of the try, $3 seconds until the next try, $4 why it failed
update letters
set due_at = now() + make_interval(secs => $3::double precision), fault = $4
where id = $1 and tries = $2
returning id
