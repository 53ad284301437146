-- LOGIN_FIELD other than either: a username is no other account's way to sign in, so no keys are kept.
-- Looks before it drops: "drop trigger if exists" locks the table even if there is none, and every insert waits.
do $$
begin
    if exists (select 1 from pg_trigger where tgname = 'users_keep_sign_in_keys') then
        drop trigger users_keep_sign_in_keys on users;
        drop trigger users_give_way_for_keys on users;
        delete from sign_in_keys;
    end if;
end
$$
