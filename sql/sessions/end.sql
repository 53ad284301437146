-- Sign out: the id of the session that ended, or no row when it had ended already.
-- $1 session id, $2 user id
delete from sessions
where id = $1 and user_id = $2 and expires_at > now()
returning id
