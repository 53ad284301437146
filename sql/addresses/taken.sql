-- Whether an address belongs to an account, other than the one that asks.
-- A courtesy, to say so before a letter is sent: users_email_key decides.
-- $1 user id or null, $2 email
select exists (
    select
    from users
    where email_key = email_key($2::text) and email_key <> '' and id is distinct from $1
) as is_taken
