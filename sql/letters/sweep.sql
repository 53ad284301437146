-- Remove some letters that were given up long ago: their ids. Locked rows are left for the next time.
-- $1 days, $2 letters at most
delete from letters
where id in (
    select id
    from letters
    where given_up_at < now() - make_interval(days => $1::int)
    order by given_up_at
    limit $2
    for update skip locked
)
returning id
