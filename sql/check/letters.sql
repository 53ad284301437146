-- Letters: how many were given up, and for how many seconds the one that waits longest is due.
select
    count(*) filter (where given_up_at is not null) as given_up,
    coalesce(extract(epoch from now() - min(due_at) filter (where given_up_at is null)), 0)::double precision as overdue
from letters
