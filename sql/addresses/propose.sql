-- Let an address wait for confirmation; none waits when it is the present address. For an account that waits for its
-- activation the address changes at once, because the activation link confirms it. The user object, pending_email and
-- awaits_activation.
-- $1 id, $2 email
update users
set
    email = case when awaits_activation then $2 else email end,
    pending_email = case when awaits_activation then null else nullif($2, email) end
where id = $1
returning email, id, username, role, account_fields, pending_email, awaits_activation
