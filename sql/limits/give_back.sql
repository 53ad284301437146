-- Take back one use that limits/take counted: the key, or no row when it has drained meanwhile.
-- $1 key, $2 seconds by which one use moves it
update limits
set drained_at = drained_at - make_interval(secs => $2::double precision)
where key = $1
returning key
