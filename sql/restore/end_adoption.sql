-- Let no refresh token of another site open a session of any account.
update users
set adopts_tokens = false
where adopts_tokens
