-- Whose each API token is: one row for each that is good, its hash first.
-- $1 hashes
select
    t.hash,
    u.id,
    u.username,
    u.email,
    u.is_staff,
    u.is_active,
    u.role,
    u.account_fields
from api_tokens t
join users u on u.id = t.user_id
where t.hash = any($1::bytea[])
