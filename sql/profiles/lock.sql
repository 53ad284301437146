-- Lock one profile until the transaction ends: its id, or no row.
-- $1 id
select id
from profiles
where id = $1
for no key update
