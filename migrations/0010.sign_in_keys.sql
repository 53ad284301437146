-- depends: 0009.addresses

-- With LOGIN_FIELD=either people sign in with a username or an address. What one account signs in with is then no other
-- account's name or address, in any spelling (contract 11.30): it is one key, of one account. The triggers that keep the
-- keys are made when the setting asks for it (sql/schema/enforce_sign_in_keys.sql), so that other sites pay nothing.
create table sign_in_keys (
    key text not null,
    user_id bigint not null,
    constraint sign_in_keys_pkey primary key (key),
    constraint sign_in_keys_user_id_fkey foreign key (user_id) references users (id) on delete cascade
);

create index sign_in_keys_user_id on sign_in_keys (user_id);  -- the cascade, and a change of name or address

-- The key of a username or an address: equal for all texts that would sign in the same account.
create function sign_in_key(login text) returns text
language sql immutable strict parallel safe
return username_key(email_key(login));

-- The violated constraint is that of the column, so that the service reports the field that was written. A pending
-- address has no key: the account that asks for it has not shown that it owns it.
create function keep_sign_in_keys() returns trigger language plpgsql as $$
declare
    wanted text;
    violated text;
begin
    delete from sign_in_keys
    where user_id = new.id
        and key not in (select sign_in_key(login) from unnest(array[new.username, new.email]) as login where login <> '');
    for wanted, violated in
        select sign_in_key(login), name
        from (values (new.username, 'users_username_key'), (new.email, 'users_email_key')) as given (login, name)
        where login <> ''
        order by 1
    loop
        insert into sign_in_keys (key, user_id) values (wanted, new.id) on conflict (key) do nothing;
        if not exists (select 1 from sign_in_keys where key = wanted and user_id = new.id) then
            raise unique_violation using constraint = violated, message = 'another account signs in with it';
        end if;
    end loop;
    return null;
end
$$;

-- As make_way() of 0009.addresses: an account that holds a key gives way (contract 11.34). In the order of ids, before
-- make_way(): two transactions that remove the same accounts do not wait for each other.
create function make_way_for_keys() returns trigger language plpgsql
set enable_seqscan = off
as $$
declare
    holder bigint;
begin
    for holder in
        select u.id
        from users u
        where u.id = any (array(
                select user_id from sign_in_keys where key in (sign_in_key(new.username), sign_in_key(new.email))
            ))
            and u.awaits_activation and u.id is distinct from new.id and gives_way(u)
        order by u.id
        for update
    loop
        delete from users u where u.id = holder and gives_way(u);
    end loop;
    return new;
end
$$;
