-- End the sessions of an account beyond those that it may have, the ones that were used longest ago first, not the one that
-- was just opened: their ids. Locked rows are left for the next sign-in, so that none waits. A `with`, as in letters/take.
-- $1 user id, $2 id of the new session, $3 other sessions that stay, $4 rows at most
with surplus as (
    select id
    from (
        select id
        from sessions
        where user_id = $1 and id <> $2::uuid and expires_at > now()
        order by last_used_at desc, id desc
        offset $3
        limit $4
    ) as longest_unused
    join sessions s using (id)
    order by id
    for update of s skip locked
)
delete from sessions
using surplus
where sessions.id = surplus.id
returning sessions.id
