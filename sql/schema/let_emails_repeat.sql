-- UNIQUE_EMAIL=false: accounts may have the same address; an index that is not unique keeps the look-up quick. Looks
-- before it creates: "create index if not exists" locks the table even if the index exists, and every insert waits.
do $$
begin
    if to_regclass('users_email_lookup') is null then
        create index users_email_lookup on users (email_key) where email_key <> '';
    end if;
    if to_regclass('users_email_key') is not null then
        drop index users_email_key;
    end if;
end
$$
