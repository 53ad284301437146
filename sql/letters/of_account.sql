-- The letters of an account that wait or were given up, the newest first.
-- $1 user id, $2 letters at most
select kind, queued_at, due_at, tries, given_up_at, fault
from letters
where user_id = $1
order by id desc
limit $2
