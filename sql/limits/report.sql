-- Note that an event reports a limit as used up: the key, or no row when an event has reported it in this window.
-- $1 key, $2 window in seconds
update limits
set reported_at = now()
where key = $1
    and (reported_at is null or reported_at <= now() - make_interval(secs => $2::double precision))
returning key
