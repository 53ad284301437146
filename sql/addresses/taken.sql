-- Whether another account has an address already.
-- An account that was never activated gives way when its link has expired.
-- Only to report it before a letter is sent: the unique index users_email_key decides.
-- $1 user id, $2 email
select exists (
    select 1
    from users u
    where email_key = email_key($2::text) and email_key <> '' and id <> $1 and not gives_way(u)
) or exists (
    select 1
    from sign_in_keys k
    join users u on u.id = k.user_id
    where k.key = sign_in_key($2::text) and k.user_id <> $1 and not gives_way(u)
) as is_taken
