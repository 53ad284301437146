-- depends: 0019.forgotten_networks

-- What an account brings from the site that it comes from (docs/decisions/import.md). All of it is null or false for an
-- account that was made here.
alter table users add column date_joined timestamptz;  -- there; otherwise the profile says when the account was made
alter table users add column last_login timestamptz;  -- there; later sign-ins are events
-- Whether a refresh token of the other site may still open a session (ADOPT_SIMPLEJWT, security 46).
alter table users add column adopts_tokens boolean not null default false;

-- The hash of an API token of the other site. It is valid while the generation is that of the import, so that whatever
-- ends the account's own token ends it, too. Unique among those that are valid.
alter table api_tokens add column imported_hash bytea;
create unique index api_tokens_imported_hash on api_tokens (imported_hash)
where imported_hash is not null and generation = 0;

-- Ids of refresh tokens of another site that open no session: they have opened one, or were revoked there.
create table adopted_tokens (
    jti text not null,
    expires_at timestamptz not null,  -- of the token
    constraint adopted_tokens_pkey primary key (jti),
    constraint adopted_tokens_jti_length check (char_length(jti) between 1 and 255)
);

create index adopted_tokens_expires_at on adopted_tokens (expires_at);  -- sweeping

-- Deactivation ends what the account could still be given, as it ends its sessions; reactivation restores none.
create function end_adoption() returns trigger language plpgsql as $$
begin
    new.adopts_tokens = false;
    return new;
end
$$;

create trigger users_end_adoption before update of is_active on users
for each row when (old.adopts_tokens and not new.is_active)
execute function end_adoption();

-- An import makes the profile in the statement that makes the account, and the trigger runs at its end.
create or replace function make_profile() returns trigger language plpgsql as $$
begin
    insert into profiles (user_id) values (new.id) on conflict (user_id) do nothing;
    if new.role is not null then
        insert into role_fields (user_id, role) values (new.id, new.role) on conflict do nothing;
    end if;
    return null;
end
$$;
