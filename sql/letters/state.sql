-- The letters in the queue, for the metrics: one row, how many wait, the age of the oldest of them in seconds (0 without
-- one), and how many were given up. Both parts have an index of their own.
select w.waiting, w.oldest, g.given_up
from (
    select
        count(*) as waiting,
        coalesce(extract(epoch from now() - min(queued_at)), 0)::double precision as oldest
    from letters
    where given_up_at is null
) w
cross join (
    select count(*) as given_up
    from letters
    where given_up_at is not null
) g
