-- The account of each API token: one row for each valid token, its hash first. A token that was imported is valid while
-- the generation is that of the import; the condition is that of its index.
-- $1 hashes
with valid as (
    select hash, user_id
    from api_tokens
    where hash = any($1::bytea[])
    union all
    select imported_hash, user_id
    from api_tokens
    where imported_hash = any($1::bytea[]) and imported_hash is not null and generation = 0
)

select
    t.hash,
    u.id,
    u.username,
    u.email,
    u.is_staff,
    u.is_active,
    u.role,
    u.account_fields
from valid t
join users u on u.id = t.user_id
