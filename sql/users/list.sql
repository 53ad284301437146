-- A page of user objects by id, deactivated ones included: the list of staff.
-- shape: users/find
-- $1 id after which the page begins, $2 rows at most
select email, id, username, role
from users
where id > $1
order by id
limit $2
