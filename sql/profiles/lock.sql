-- Lock one profile until the transaction ends: its id, or no row when there is none of this account.
-- $1 id, $2 account
select id
from profiles
where id = $1 and user_id = $2
for no key update
