-- Count one use against a limit, unless it is used up: the key, or no row when it is.
-- $1 key, $2 seconds by which one use moves it, $3 window in seconds
insert into limits (key, drained_at)
values ($1, now() + make_interval(secs => $2::double precision))
on conflict (key) do update
set drained_at = greatest(limits.drained_at, now()) + (excluded.drained_at - now())
where limits.drained_at <= now() + make_interval(secs => $3::double precision - $2::double precision)
returning key
