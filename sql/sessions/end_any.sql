-- End a session of any account: the id of the account, or no row when it had ended already.
-- $1 session id
delete from sessions
where id = $1 and expires_at > now()
returning user_id
