-- Remove from some events of one deleted account what names the person, where its deletion left some: the account, and the
-- id up to which that is done, null when it is done with all. No row when no such account is left, or another process
-- works on it.
-- $1 rows at most
with task as (
    select user_id, after_id, last_id
    from deleted_accounts
    order by user_id
    limit 1
    for update skip locked
),
bite as materialized (
    select user_id, clear_events(user_id, after_id, last_id, $1) as cleared_to
    from task
),
moved as (
    update deleted_accounts d
    set after_id = bite.cleared_to
    from bite
    where d.user_id = bite.user_id and bite.cleared_to is not null
),
finished as (
    delete from deleted_accounts d
    using bite
    where d.user_id = bite.user_id and bite.cleared_to is null
)
select user_id, cleared_to
from bite
