drop trigger users_make_role_fields on users;
drop function make_role_fields();
create or replace function make_profile() returns trigger language plpgsql as $$
begin
    insert into profiles (user_id) values (new.id);
    return null;
end
$$;
drop table role_fields;
alter table users
    drop constraint users_role_name,
    drop column role;
