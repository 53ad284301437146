-- UNIQUE_EMAIL=false: accounts may share an address; looking one up stays quick.
do $$
begin
    create index if not exists users_email_lookup on users (email_key) where email_key <> '';
    drop index if exists users_email_key;
end
$$
