-- The hash of an address, the same for all its spellings: what a limit keeps of it.
-- $1 address
select encode(sha256(convert_to(email_key($1::text), 'utf8')), 'hex') as hash
