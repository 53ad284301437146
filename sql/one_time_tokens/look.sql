-- What an account's token leads to, without using it up: one row, or none when it is unknown, expired or replaced.
-- is_used: it was used, or there is nothing left for it to do. Reads at most one token of one account.
-- $1 user id, $2 accepted purposes, $3 hash
select
    u.username,
    u.email,
    u.is_active,
    t.purpose,
    t.used_at is not null
    or (t.purpose = 'activation' and not u.awaits_activation)
    or (t.purpose = 'email_change' and u.pending_email is null) as is_used
from one_time_tokens t
join users u on u.id = t.user_id
where t.user_id = $1 and t.purpose = any($2::text[]) and t.hash = $3 and t.expires_at > now()
