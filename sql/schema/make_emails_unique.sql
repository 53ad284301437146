-- UNIQUE_EMAIL=true: only one account may have an address. Fails with 23505 when two accounts have the same one.
-- Looks before it creates: "create index if not exists" locks the table even if the index exists, and every insert
-- waits.
do $$
begin
    if to_regclass('users_email_key') is null then
        create unique index users_email_key on users (email_key) where email_key <> '';
    end if;
    if to_regclass('users_email_lookup') is not null then
        drop index users_email_lookup;
    end if;
end
$$
