-- What the settings decide about the schema: one row. has_email_key, has_email_lookup: UNIQUE_EMAIL is true, or false.
-- has_sign_in_keys: LOGIN_FIELD is either. is_read_only: nothing of it can be changed now.
select
    to_regclass('users_email_key') is not null as has_email_key,
    to_regclass('users_email_lookup') is not null as has_email_lookup,
    exists (select 1 from pg_trigger where tgname = 'users_keep_sign_in_keys') as has_sign_in_keys,
    current_setting('transaction_read_only')::boolean as is_read_only
