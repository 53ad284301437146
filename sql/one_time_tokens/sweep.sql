-- Remove some expired tokens: the ids of their accounts. Locked rows are left for the next time. The token of an account
-- that waits for its activation stays: it says that the account gives way, and is removed with it (users/sweep). A `with`,
-- as in letters/take.
-- $1 rows at most
with expired as (
    select user_id, purpose
    from one_time_tokens t
    where expires_at <= now()
        and not (
            purpose = 'activation' and exists (select 1 from users u where u.id = t.user_id and u.awaits_activation)
        )
    order by expires_at
    limit $1
    for update skip locked
)
delete from one_time_tokens t
using expired
where t.user_id = expired.user_id and t.purpose = expired.purpose
returning t.user_id
