-- Let new accounts and new profiles have ids above those of an import: one row, the two highest ids that are in use.
-- $1 the highest id of an imported account, or 0, $2 the highest id of an imported profile, or 0
select
    case
        when $1::bigint > (select last_value from users_id_seq) then setval('users_id_seq', $1::bigint)
        else (select last_value from users_id_seq)
    end as users,
    case
        when $2::bigint > (select last_value from profiles_id_seq) then setval('profiles_id_seq', $2::bigint)
        else (select last_value from profiles_id_seq)
    end as profiles
