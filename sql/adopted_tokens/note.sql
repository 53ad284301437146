-- Note refresh tokens of another site that open no session, since they were revoked there: the ids that were new.
-- $1 ids of tokens, $2 when each expires
insert into adopted_tokens (jti, expires_at)
select jti, expires_at
from unnest($1::text[], $2::timestamptz[]) as given (jti, expires_at)
on conflict (jti) do nothing
returning jti
