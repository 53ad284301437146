-- Whether accounts have changed something in the last seconds: one row for each account that exists, its id first.
-- An account without a profile may have deleted it a moment ago. A sign-in counts, too: events have no index by kind.
-- Only staff act on the accounts of others, so only for them the events of everybody are read.
-- $1 account ids, $2 seconds for each
select
    u.id,
    coalesce(p.updated_on, 'infinity') > a.since
    or coalesce(
        (select e.happened_at from events e where e.user_id = u.id order by e.id desc limit 1) > a.since, false
    )
    or (u.is_staff and exists (select from events e where e.happened_at > a.since and e.actor_id = u.id)) as has_changed
from (
    select g.id, now() - make_interval(secs => g.seconds) as since
    from unnest($1::bigint[], $2::double precision[]) as g (id, seconds)
) as a
join users u on u.id = a.id
left join profiles p on p.user_id = u.id
