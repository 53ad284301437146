-- Remove some expired sessions: their ids. Locked rows are left for the next time. A `with`, as in letters/take.
-- $1 rows at most
with expired as (
    select id
    from sessions
    where expires_at <= now()
    order by expires_at
    limit $1
    for update skip locked
)
delete from sessions
using expired
where sessions.id = expired.id
returning sessions.id
