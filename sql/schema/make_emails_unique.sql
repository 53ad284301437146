-- UNIQUE_EMAIL=true: an address belongs to one account. Fails with 23505 where two share one already.
do $$
begin
    create unique index if not exists users_email_key on users (email_key) where email_key <> '';
    drop index if exists users_email_lookup;
end
$$
