-- Change the account fields that the site declares: the user object, or no row when the account does not exist.
-- shape: users/find
-- $1 id, $2 the fields that get a value, a JSON object, $3 the names of those that lose it
update users
set account_fields = (coalesce(account_fields, '{}') || $2::jsonb) - $3::text[]
where id = $1
returning email, id, username, role, account_fields
