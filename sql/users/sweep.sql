-- Remove some accounts that were never activated and whose link has expired: their ids. Locked rows are left for the next
-- time. The token is locked, too: another transaction may renew it meanwhile. A `with`, as in
-- letters/take.
-- $1 rows at most
with expired as (
    select u.id
    from one_time_tokens t
    join users u on u.id = t.user_id
    where t.purpose = 'activation' and t.expires_at <= now() and u.awaits_activation
    order by t.expires_at
    limit $1
    for update of u, t skip locked
)
delete from users
using expired
where users.id = expired.id
returning users.id
