-- Remove some events that are older than they are kept: their ids. Locked rows are left for the next time. A `with`, as
-- in letters/take.
-- $1 rows at most, $2 days that they are kept
with old as (
    select id
    from events
    where happened_at <= now() - make_interval(days => $2)
    order by happened_at
    limit $1
    for update skip locked
)
delete from events
using old
where events.id = old.id
returning events.id
