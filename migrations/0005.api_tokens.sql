-- depends: 0003.sessions

-- The token of /auth/token/login/, one for each account: the same at every login, and derived from the signing key, the
-- account and the generation (contract 11.23). Only its hash is stored, and only while the token is valid.
create table api_tokens (
    user_id bigint not null,
    generation bigint not null default 0,
    hash bytea,
    constraint api_tokens_pkey primary key (user_id),
    constraint api_tokens_hash_key unique (hash),
    constraint api_tokens_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);

-- Deactivation ends the token and the sessions. Reactivation restores neither.
create or replace function end_sessions() returns trigger language plpgsql as $$
begin
    perform from sessions where user_id = new.id order by id for update;
    delete from sessions where user_id = new.id;
    update api_tokens set generation = generation + 1, hash = null where user_id = new.id;
    return null;
end
$$;
