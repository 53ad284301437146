-- Remove some limits that count nothing any more: their keys. Locked rows are left for the next time. A `with`, as in
-- letters/take.
-- $1 rows at most
with drained as (
    select key
    from limits
    where drained_at <= now()
    order by drained_at
    limit $1
    for update skip locked
)
delete from limits
using drained
where limits.key = drained.key
returning limits.key
