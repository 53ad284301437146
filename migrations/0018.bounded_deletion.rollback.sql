create or replace function make_events_anonymous() returns trigger language plpgsql as $$
begin
    update events
    set address = null, device = '', request_id = '', details = null
    where user_id = old.id;
    update events
    set address = null, device = '', request_id = ''
    where actor_id = old.id and actor_id is not null and actor_id is distinct from user_id;
    return null;
end
$$;
-- What is left of deleted accounts, at once.
select clear_events(user_id, after_id, last_id, 2147483647) from deleted_accounts;
drop function clear_events(bigint, bigint, bigint, int);
drop index events_actor_id;
create index events_actor_id on events (actor_id) where actor_id is not null and actor_id is distinct from user_id;
drop table deleted_accounts;
