-- Queue a letter that tells the owner of an account about a change of it: one row, whether it was queued, or no row when
-- there is no address to tell. It counts as a letter of its kind to the address, and beyond that limit none is queued.
-- An account that waits for its activation is told nothing: nobody has confirmed its address.
-- $1 kind, $2 user id, $3 address or '', $4 seconds by which one letter moves the limit, or null: no limit,
-- $5 window in seconds
with told as (
    select id
    from users
    where id = $2 and not awaits_activation and $3::text <> ''
),
counted as (
    insert into limits (key, drained_at)
    select
        'letters of ' || $1::text || ' to ' || encode(sha256(convert_to(email_key($3::text), 'utf8')), 'hex'),
        now() + make_interval(secs => $4::double precision)
    from told
    where $4 is not null
    on conflict (key) do update
    set drained_at = greatest(limits.drained_at, now()) + (excluded.drained_at - now())
    where limits.drained_at <= now() + make_interval(secs => $5::double precision - $4)
    returning key
),
queued as (
    insert into letters (kind, user_id, nonce, address)
    select $1, id, '', $3
    from told
    where $4 is null or exists (select from counted)
    returning id
)
select exists (select from queued) as is_queued
from told
