-- Whether accounts have a name and an address already: one row, username and email, true where taken.
-- Only to report the faults of all fields together: users_username_key and users_email_key decide.
-- $1 username or '', $2 email or ''
select
    exists (select from users where username_key = username_key($1::text)) as username,
    exists (select from users where email_key = email_key($2::text) and email_key <> '') as email
