-- Whether an account may not have a name: another has it in some spelling, or it is its own already.
-- A courtesy, to report all fields together: users_username_key decides.
-- $1 user id, $2 username
select exists (
    select
    from users
    where username_key = username_key($2::text) and (id <> $1 or username = $2)
) as is_taken
