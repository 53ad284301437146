-- depends: 0017.restorable

-- The deletion of an account updated all of its events at once: with a million of them that took longer than a statement
-- may, and the account could not be deleted. Now it updates some, and a sweep the others, in bites.

-- Deleted accounts whose events still name the person: those after `after_id`, up to the last one before the deletion.
create table deleted_accounts (
    user_id bigint not null,  -- no foreign key: the account is gone
    after_id bigint not null,
    last_id bigint not null,
    constraint deleted_accounts_pkey primary key (user_id)
);

-- With the id: each bite begins where the last one ended.
drop index events_actor_id;
create index events_actor_id on events (actor_id, id) where actor_id is not null and actor_id is distinct from user_id;

-- Remove from events of an account, those after `after_id` up to `last_id`, what names the person: the id up to which that
-- is done, or null when no more than `at_most` were left. What the account did to others stays told, without its address.
-- Without scans of the table: a plan that was made while the table was small would stay.
create function clear_events(account bigint, after_id bigint, last_id bigint, at_most int) returns bigint
language plpgsql
set enable_seqscan = off
as $$
declare
    cleared int;
    cleared_to bigint;
begin
    with about as (
        select id
        from events
        where user_id = account and id > after_id and id <= last_id
        order by id
        limit at_most
    ),
    acted as (
        select id
        from events
        where actor_id = account and actor_id is distinct from user_id and id > after_id and id <= last_id
        order by id
        limit at_most
    ),
    bite as (
        select id from about
        union all
        select id from acted
        order by id
        limit at_most
    ),
    done as (
        update events e
        set
            address = null,
            device = '',
            request_id = '',
            details = case when e.user_id = account then null else e.details end
        from bite
        where e.id = bite.id
    )
    -- Of the bite, not of what was updated: a sweep of old events may delete some of them meanwhile, and then it would
    -- look as if no more were left.
    select count(*), max(id) into cleared, cleared_to from bite;
    return case when cleared = at_most then cleared_to end;
end
$$;

create or replace function make_events_anonymous() returns trigger language plpgsql as $$
declare
    last_id bigint := (select max(id) from events);
    cleared_to bigint := clear_events(old.id, 0, last_id, 10000);
begin
    if cleared_to is not null then
        -- An import may have taken the number of an account that was deleted a moment ago.
        insert into deleted_accounts (user_id, after_id, last_id)
        values (old.id, cleared_to, last_id)
        on conflict (user_id) do update
        set after_id = least(deleted_accounts.after_id, excluded.after_id), last_id = excluded.last_id;
    end if;
    return null;
end
$$;
