-- The letters that were given up and those that wait, the oldest first, for the operator.
-- $1 letters at most
select l.id, l.kind, l.user_id, u.username,
    substring(case
        when l.address <> '' then l.address
        when l.kind = 'email_change' then u.pending_email
        else u.email
    end from '[^@]*$') as domain,
    l.queued_at, l.due_at, l.tries, l.given_up_at, l.fault
from letters l
left join users u on u.id = l.user_id
order by l.given_up_at nulls last, l.queued_at
limit $1
