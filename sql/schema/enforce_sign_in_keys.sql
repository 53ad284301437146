-- LOGIN_FIELD=either: a username or an address signs in one account. Fails with 23505 when accounts collide; the detail
-- has their ids, those that collide separated by commas.
do $$
declare
    shared text;
begin
    if exists (select 1 from pg_trigger where tgname = 'users_keep_sign_in_keys') then
        return;
    end if;
    lock table users in share row exclusive mode;
    insert into sign_in_keys (key, user_id)
    select distinct sign_in_key(login), id
    from users, unnest(array[username, email]) as login
    where login <> ''
    on conflict (key) do nothing;
    select string_agg(ids, '; ') into shared
    from (
        select string_agg(distinct id::text, ', ') as ids
        from users, unnest(array[username, email]) as login
        where login <> ''
        group by sign_in_key(login)
        having count(distinct id) > 1
        order by min(id)
        limit 20
    ) as found;
    if shared is not null then
        raise unique_violation using message = 'accounts share what they sign in with', detail = shared;
    end if;
    create trigger users_keep_sign_in_keys after insert or update of username, email on users
    for each row execute function keep_sign_in_keys();
    -- Triggers run in the order of their names: this one before users_make_way_at_insert.
    create trigger users_give_way_for_keys before insert or update of username, email on users
    for each row execute function make_way_for_keys();
end
$$
