-- Lock the active staff accounts until the transaction ends: their ids. Two commands that each take away one of the last
-- two run one after the other.
select id
from users
where is_staff and is_active
order by id
for no key update
