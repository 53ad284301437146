-- How long to wait until none of several limits is used up: the key of the one that takes longest, and the seconds, or
-- no row when there is nothing to wait for. And whether an event has reported it in its window.
-- $1 keys, $2 seconds by which one use moves each, $3 window of each in seconds
select
    l.key,
    extract(epoch from l.drained_at - now())::double precision + g.cost - g.time_window as seconds,
    coalesce(l.reported_at > now() - make_interval(secs => g.time_window), false) as is_reported
from unnest($1::text[], $2::double precision[], $3::double precision[]) as g (key, cost, time_window)
join limits l on l.key = g.key
where l.drained_at > now() + make_interval(secs => g.time_window - g.cost)
order by seconds desc
limit 1
