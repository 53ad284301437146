-- depends: 0012.events

-- How far each limit is used up, for all workers and nodes: one row for each account or network that counts. An account
-- that fails to sign in, a network that registers. `drained_at` is the moment from which nothing counts any more; each
-- use moves it by a share of the limit's window (docs/decisions/limits.md). Keys of typed texts are hashes.
create table limits (
    key text collate "C" not null,
    drained_at timestamptz not null,
    reported_at timestamptz,  -- when the last event said that it is used up
    constraint limits_pkey primary key (key)
);

create index limits_drained_at on limits (drained_at);  -- sweeping

-- The networks from which an account has signed in. A right password from one of them is accepted while others guess.
create table sign_in_networks (
    user_id bigint not null,
    network inet not null,
    last_seen_at timestamptz not null default now(),
    constraint sign_in_networks_pkey primary key (user_id, network),
    constraint sign_in_networks_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);
