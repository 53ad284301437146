drop trigger if exists users_keep_sign_in_keys on users;
drop function keep_sign_in_keys();
create or replace function make_way() returns trigger language plpgsql
set enable_seqscan = off
as $$
declare
    holder bigint;
begin
    for holder in
        select u.id
        from users u
        where (u.username_key = username_key(new.username)
                or u.email_key = email_key(new.email) and u.email_key <> '' and to_regclass('users_email_key') is not null)
            and u.awaits_activation and u.id is distinct from new.id and gives_way(u)
        order by u.id
        for update
    loop
        delete from users u where u.id = holder and gives_way(u);
    end loop;
    return new;
end
$$;
drop table sign_in_keys;
drop function sign_in_key(text);
