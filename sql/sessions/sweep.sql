-- Remove some expired sessions: their ids. Locked rows are left for the next time.
-- $1 rows at most
delete from sessions
where id in (
    select id
    from sessions
    where expires_at <= now()
    order by expires_at
    limit $1
    for update skip locked
)
returning id
