-- Remove some limits that count nothing any more: their keys. Locked rows are left for the next time.
-- $1 rows at most
delete from limits
where key in (
    select key
    from limits
    where drained_at <= now()
    order by drained_at
    limit $1
    for update skip locked
)
returning key
