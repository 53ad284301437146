-- Replace the fields of an account in one role: the account's id.
-- $1 user id, $2 role, $3 fields, a JSON object
insert into role_fields (user_id, role, fields)
values ($1, $2, $3::jsonb)
on conflict (user_id, role) do update
set fields = excluded.fields
returning user_id
