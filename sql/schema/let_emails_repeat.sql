-- UNIQUE_EMAIL=false: accounts may share an address; looking one up stays quick.
-- Looked for first: "if not exists" locks the table also when there is nothing to do, and every insert queues behind it.
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
