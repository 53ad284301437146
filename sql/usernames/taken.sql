-- Whether an account may not have a name: another account has it in some spelling, or it is its own name already.
-- An account that was never activated gives way when its link has expired.
-- Only to report the faults of all fields together: the constraint users_username_key decides.
-- $1 user id, $2 username
select exists (
    select 1
    from users u
    where username_key = username_key($2::text) and (id <> $1 or username = $2) and not gives_way(u)
) or exists (
    select 1
    from sign_in_keys k
    join users u on u.id = k.user_id
    where k.key = sign_in_key($2::text) and k.user_id <> $1 and not gives_way(u)
) as is_taken
