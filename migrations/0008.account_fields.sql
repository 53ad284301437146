-- depends: 0007.roles

-- What an account consists of is declared by the site (SITE_FILE): whether it has a username, and which fields it has
-- beside those of the contract. A site that declares no fields stores null, which costs nothing to read.
alter table users alter column username drop not null;
alter table users alter column username_key drop not null;
alter table users add column account_fields jsonb;
alter table users add constraint users_account_fields_object check (jsonb_typeof(account_fields) = 'object');
alter table users add constraint users_account_fields_length check (octet_length(account_fields::text) <= 16384);
alter table users add constraint users_has_login check (username is not null or email <> '');
