-- Whether another account has an address already.
-- Only to report it before a letter is sent: the unique index users_email_key decides.
-- $1 user id or null, $2 email
select exists (
    select
    from users
    where email_key = email_key($2::text) and email_key <> '' and id is distinct from $1
) as is_taken
