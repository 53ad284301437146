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
