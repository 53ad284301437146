-- The account of each API token: one row for each valid token, its hash first.
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
