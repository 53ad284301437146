-- Let an address wait to be confirmed; the one in force is none to wait for. An account that waits for its activation has
-- it at once, because its link confirms it: the user object, pending_email and awaits_activation.
-- $1 id, $2 email
update users
set
    email = case when awaits_activation then $2 else email end,
    pending_email = case when awaits_activation then null else nullif($2, email) end
where id = $1
returning email, id, username, role, account_fields, pending_email, awaits_activation
