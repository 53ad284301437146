create or replace function make_profile() returns trigger language plpgsql as $$
begin
    insert into profiles (user_id) values (new.id);
    if new.role is not null then
        insert into role_fields (user_id, role) values (new.id, new.role);
    end if;
    return null;
end
$$;
drop trigger users_end_adoption on users;
drop function end_adoption();
drop table adopted_tokens;
drop index api_tokens_imported_hash;
alter table api_tokens drop column imported_hash;
alter table users drop column adopts_tokens;
alter table users drop column last_login;
alter table users drop column date_joined;
