-- Whether an account that may have a letter has this address.
-- $1 email, in any case, $2 true: an account that waits for its activation, false: an active account
select exists (
    select 1
    from users
    where email_key = email_key($1::text) and email_key <> ''
        and (case when $2 then awaits_activation else is_active end)
        and password not like '!%'
) as is_known
