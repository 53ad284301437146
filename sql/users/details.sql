-- What the operator sees of an account beside users/with_state, for the command user: one row, or none.
-- The link is that of the activation letter.
-- $1 id
select
    u.username,
    u.email,
    u.password,
    u.language,
    t.hash is not null or (t.imported_hash is not null and t.generation = 0) as has_api_token,
    l.expires_at as link_expires_at,
    l.expires_at <= now() as is_link_expired
from users u
left join api_tokens t on t.user_id = u.id
left join one_time_tokens l on l.user_id = u.id and l.purpose = 'activation' and l.used_at is null
where u.id = $1
