-- The hash of a username or an address, the same for all its spellings: what a limit keeps of it. The text itself may be a
-- password that was typed into the wrong field.
-- $1 username or address, $2 whether it is an address
select encode(sha256(convert_to(case when $2 then email_key($1::text) else username_key($1::text) end, 'utf8')), 'hex') as hash
