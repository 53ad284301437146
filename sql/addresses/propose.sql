-- Let an address wait to be confirmed; the one in force is none to wait for: the user object and pending_email.
-- $1 id, $2 email
update users
set pending_email = nullif($2, email)
where id = $1
returning email, id, username, role, pending_email
