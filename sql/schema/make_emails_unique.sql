-- UNIQUE_EMAIL=true: an address belongs to one account. Fails with 23505 where two share one already.
-- Looked for first: "if not exists" locks the table also when there is nothing to do, and every insert queues behind it.
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
