-- Remove some expired tokens: the ids of their accounts. Locked rows are left for the next time.
-- $1 rows at most
delete from one_time_tokens
where (user_id, purpose) in (
    select user_id, purpose
    from one_time_tokens
    where expires_at <= now()
    order by expires_at
    limit $1
    for update skip locked
)
returning user_id
