-- A page of user objects by id.
-- shape: users/find
-- $1 id after which the page begins, $2 rows at most, $3 whether deactivated accounts are included
select email, id, username, role, account_fields
from users
where id > $1 and (is_active or $3)
order by id
limit $2
