-- Queue a letter, or a request for a letter: its id.
-- $1 kind, $2 user id, or null for a request, $3 nonce of its token or '', $4 address or ''
insert into letters (kind, user_id, nonce, address)
values ($1, $2, $3, $4)
returning id
