-- Let no refresh token of another site open a session of an account any more: the account's id, or no row when none could.
-- A statement of its own, before those that end sessions: it waits for tokens that are being adopted, and they then see
-- the sessions of those.
-- $1 user id
update users
set adopts_tokens = false
where id = $1 and adopts_tokens
returning id
