-- Sign in: the new session's id and the account's role, or no row when the account is inactive, deleted or of another
-- role, or its password has changed.
-- $1 user id, $2 password hash that was checked, $3 lifetime in seconds, $4 required role, or null,
-- $5 IP address or null, $6 device
with account as (
    select id, role
    from users
    where id = $1 and is_active and password = $2 and ($4::text is null or role = $4)
    for share
),

opened as (
    insert into sessions (user_id, expires_at, address, device)
    select id, now() + make_interval(secs => $3::double precision), $5::text::inet, $6
    from account
    returning id, user_id
)

select opened.id, account.role
from opened
join account on account.id = opened.user_id
