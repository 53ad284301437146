-- End the sessions of an account, except one: their ids. Locks rows in the order of their ids, as all statements do, so
-- that there is no deadlock.
-- $1 user id, $2 id of the session that stays, or null
with ended as (
    select id
    from sessions
    where user_id = $1 and ($2::uuid is null or id <> $2)
    order by id
    for update
)
delete from sessions s
using ended
where s.user_id = $1 and s.id = ended.id
returning s.id
