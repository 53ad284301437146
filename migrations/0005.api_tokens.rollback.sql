create or replace function end_sessions() returns trigger language plpgsql as $$
begin
    perform from sessions where user_id = new.id order by id for update;
    delete from sessions where user_id = new.id;
    return null;
end
$$;
drop table api_tokens;
