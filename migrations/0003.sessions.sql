-- depends: 0001.users

-- A session is one sign-in. Tokens name it (claim sid) and are not stored: a copy of this table is not enough to sign
-- in (security 18).

create table sessions (
    id uuid not null default gen_random_uuid(),
    user_id bigint not null,
    expires_at timestamptz not null,
    constraint sessions_pkey primary key (id),
    constraint sessions_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);

create index sessions_user_id on sessions (user_id);  -- ending all of an account, the cascade
create index sessions_expires_at on sessions (expires_at);  -- sweeping

-- Deactivation ends every session at once, also when psql does it. Reactivation restores none (contract 11.10).
-- Rows are locked in the order of their ids, as in all statements, so that there is no deadlock.
create function end_sessions() returns trigger language plpgsql as $$
begin
    perform from sessions where user_id = new.id order by id for update;
    delete from sessions where user_id = new.id;
    return null;
end
$$;

create trigger users_end_sessions after update of is_active on users
for each row when (old.is_active and not new.is_active)
execute function end_sessions();
