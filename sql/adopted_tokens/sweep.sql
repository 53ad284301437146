-- Remove some ids of tokens that have expired: the ids. A day later, since the clock that finds a token expired is another
-- one. Locked rows are left for the next time. A `with`, as in letters/take.
-- $1 rows at most
with expired as (
    select jti
    from adopted_tokens
    where expires_at <= now() - interval '1 day'
    order by expires_at
    limit $1
    for update skip locked
)
delete from adopted_tokens
using expired
where adopted_tokens.jti = expired.jti
returning adopted_tokens.jti
