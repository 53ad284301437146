-- depends: 0002.profiles 0005.api_tokens

-- ROLES_FILE says which roles there are and which fields they have. In the database a role is only a name.
alter table users
    add column role text,
    add constraint users_role_name check (role ~ '^[a-z][a-z0-9_-]{0,30}$');

-- The fields of an account in each role that it has or had: an account that gets an old role again has them again.
create table role_fields (
    user_id bigint not null,
    role text not null,
    fields jsonb not null default '{}',
    constraint role_fields_pkey primary key (user_id, role),
    constraint role_fields_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint role_fields_role_name check (role ~ '^[a-z][a-z0-9_-]{0,30}$'),
    constraint role_fields_fields_object check (jsonb_typeof(fields) = 'object')
);

-- The trigger that makes the profile also makes the row of the role.
create or replace function make_profile() returns trigger language plpgsql as $$
begin
    insert into profiles (user_id) values (new.id);
    if new.role is not null then
        insert into role_fields (user_id, role) values (new.id, new.role);
    end if;
    return null;
end
$$;

create function make_role_fields() returns trigger language plpgsql as $$
begin
    insert into role_fields (user_id, role) values (new.id, new.role) on conflict do nothing;
    return null;
end
$$;

create trigger users_make_role_fields after update of role on users
for each row when (new.role is not null and new.role is distinct from old.role)
execute function make_role_fields();
