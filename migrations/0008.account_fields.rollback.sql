alter table users drop constraint users_has_login;
alter table users drop constraint users_account_fields_length;
alter table users drop constraint users_account_fields_object;
alter table users drop column account_fields;
-- The schema before this migration requires a username; one that the contract does not allow collides with no other.
update users set username = 'account#' || id where username is null;
alter table users alter column username_key set not null;
alter table users alter column username set not null;
