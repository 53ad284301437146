-- Whether a letter to an address would reach an account that may have it.
-- $1 email, whatever its case, $2 true: one that waits for its activation, false: one that is active
select exists (
    select
    from users
    where email_key = email_key($1::text) and email_key <> ''
        and (case when $2 then awaits_activation else is_active end)
        and password not like '!%'
) as is_known
