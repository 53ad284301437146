-- Take letters that are due, the longest due first, each with its age in seconds. Other workers do not see them until
-- the time in $2 is over. A `with`: PostgreSQL may run a subselect of `in` once for each row, and takes too many then.
-- $1 letters at most, $2 seconds that the worker has for them
with due as (
    select id
    from letters
    where given_up_at is null and due_at <= now()
    order by due_at, id
    limit $1
    for update skip locked
),

taken as (
    update letters l
    set due_at = now() + make_interval(secs => $2::double precision), tries = l.tries + 1
    from due
    where l.id = due.id
    returning l.id, l.kind, l.user_id, l.nonce, l.address, l.queued_at, l.tries
)

select
    id,
    kind,
    user_id,
    nonce,
    address,
    queued_at,
    tries,
    extract(epoch from now() - queued_at)::double precision as age
from taken
