-- Let a refresh token of another site open its session: the account's id; no row when it has opened it before, was
-- revoked, or its account is inactive, gone, or adopts no tokens (security 46). Simultaneous statements wait for the
-- first one's row, and open none.
-- $1 id of the session, $2 id of the token, $3 user id, $4 when the token expires, in epoch seconds, $5 lifetime of the
-- session in seconds, $6 IP address or null, $7 device
with account as (
    select id
    from users
    where id = $3 and is_active and adopts_tokens
    for share
),

noted as (
    insert into adopted_tokens (jti, expires_at)
    select $2, to_timestamp($4::double precision)
    from account
    on conflict (jti) do nothing
    returning jti
)

insert into sessions (id, user_id, expires_at, address, device)
select
    $1,
    account.id,
    least(to_timestamp($4::double precision), now() + make_interval(secs => $5::double precision)),
    $6::text::inet,
    $7
from account
cross join noted
returning user_id
