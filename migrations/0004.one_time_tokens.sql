-- depends: 0001.users 0003.sessions

-- What an account needs for letters: their language, the address that waits for confirmation, and whether the account
-- waits for its activation. That is not the same as being inactive: an account that staff deactivated must not become
-- active again by a letter.
alter table users
    add column language text not null default 'en',
    add column pending_email text,
    add column awaits_activation boolean not null default false,
    add constraint users_pending_email_length check (char_length(pending_email) between 1 and 254),
    add constraint users_awaits_inactive check (not (is_active and awaits_activation));

-- A token of a letter: one purpose, one use, one at a time for each purpose (contract 11.8). Only its hash is stored. A
-- used token stays until it expires, so that a second click is not taken for a forged token.
create table one_time_tokens (
    user_id bigint not null,
    purpose text not null,
    hash bytea not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint one_time_tokens_pkey primary key (user_id, purpose),
    constraint one_time_tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
    constraint one_time_tokens_purpose_known check (
        purpose in ('activation', 'email_change', 'password_reset', 'username_reset')
    )
);

create index one_time_tokens_expires_at on one_time_tokens (expires_at);  -- sweeping

-- A change of the password or the address deletes the account's tokens, also when psql makes it.
create function end_one_time_tokens() returns trigger language plpgsql as $$
begin
    delete from one_time_tokens where user_id = new.id;
    return null;
end
$$;

create trigger users_end_one_time_tokens after update of password, email on users
for each row when (old.password <> new.password or old.email <> new.email)
execute function end_one_time_tokens();

-- An account that is activated or deactivated by hand no longer waits for its activation.
create function settle_activation() returns trigger language plpgsql as $$
begin
    new.awaits_activation = false;
    return new;
end
$$;

create trigger users_settle_activation before update of is_active on users
for each row when (old.awaits_activation)
execute function settle_activation();
