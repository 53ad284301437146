-- Queue all letters again that were given up: their ids.
update letters
set given_up_at = null, fault = null, queued_at = now(), due_at = now(), tries = 0
where given_up_at is not null
returning id
