-- Remove a profile, and the values of the account's role fields; the account stays: the profile's id.
-- $1 id, $2 user id of the owner
with gone as (
    delete from profiles
    where id = $1 and user_id = $2
    returning id, user_id
),

emptied as (
    update role_fields f
    set fields = '{}'
    from gone
    where f.user_id = $2 and f.user_id = gone.user_id
)

select id
from gone
