-- How far limits of failed sign-ins are used up: the key, and the seconds until nothing counts any more.
-- $1 key of an account, whose known networks have keys that begin with it, $2 keys of networks
select key, extract(epoch from drained_at - now())::double precision as seconds
from limits
where (key = $1::text or starts_with(key, $1::text || ' ') or key = any($2::text[])) and drained_at > now()
order by key
