-- Whether accounts have a name and an address already: one row, username and email, true where taken.
-- An account that was never activated gives way when its link has expired.
-- Only to report the faults of all fields together: users_username_key and users_email_key decide.
-- $1 username or '', $2 email or ''
select
    exists (select 1 from users u where username_key = username_key($1::text) and not gives_way(u))
        or exists (
            select 1
            from sign_in_keys k
            join users u on u.id = k.user_id
            where k.key = sign_in_key($1::text) and not gives_way(u)
        ) as username,
    exists (
        select 1
        from users u
        where email_key = email_key($2::text) and email_key <> '' and not gives_way(u)
    ) or exists (
        select 1
        from sign_in_keys k
        join users u on u.id = k.user_id
        where k.key = sign_in_key($2::text) and not gives_way(u)
    ) as email
