-- A new account: the user object. Triggers make its profile and its role fields.
-- $1 username, $2 email, $3 password hash, $4 is_staff, $5 role or null, $6 whether it waits for activation,
-- $7 language, $8 account fields, a JSON object, or null
insert into users (username, email, password, is_staff, role, is_active, awaits_activation, language, account_fields)
values ($1, $2, $3, $4, $5, not $6, $6, $7, $8::jsonb)
returning email, username, id, role, account_fields
