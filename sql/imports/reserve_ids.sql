-- Let new accounts and new profiles have ids above those of an import: one row, the two highest ids that are in use.
-- A new sequence has the last value 1, which it has not given yet. One that has given the highest id stays as it is: set
-- again, it could go back behind an id that another transaction takes at this moment.
-- $1 the highest id of an imported account, or 0, $2 the highest id of an imported profile, or 0
select
    case
        when $1::bigint > last_user.value then setval('users_id_seq', $1::bigint)
        else last_user.value
    end as users,
    case
        when $2::bigint > last_profile.value then setval('profiles_id_seq', $2::bigint)
        else last_profile.value
    end as profiles
from (select case when is_called then last_value else last_value - 1 end as value from users_id_seq) as last_user
cross join (
    select case when is_called then last_value else last_value - 1 end as value from profiles_id_seq
) as last_profile
