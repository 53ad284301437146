-- Remove some letters that were given up long ago: their ids. Locked rows are left for the next time. A `with`, as in
-- letters/take.
-- $1 days, $2 letters at most
with old as (
    select id
    from letters
    where given_up_at < now() - make_interval(days => $1::int)
    order by given_up_at
    limit $2
    for update skip locked
)
delete from letters
using old
where letters.id = old.id
returning letters.id
