-- End the sessions of an account, except one: their ids. Locks rows in the order of their ids, as all statements do, so
-- that there is no deadlock.
-- $1 user id, $2 id of the session that stays, or null
delete from sessions
where id in (
    select id
    from sessions
    where user_id = $1 and ($2::uuid is null or id <> $2)
    order by id
    for update
)
returning id
