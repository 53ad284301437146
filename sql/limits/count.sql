-- Count one use against each of several limits, also when they are used up: the keys.
-- Rows are locked in the order of their keys, so that there is no deadlock.
-- $1 keys, $2 seconds by which one use moves each
insert into limits (key, drained_at)
select key, now() + make_interval(secs => cost)
from unnest($1::text[], $2::double precision[]) as g (key, cost)
order by key
on conflict (key) do update
set drained_at = greatest(limits.drained_at, now()) + (excluded.drained_at - now())
returning key
