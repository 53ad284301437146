-- Record an event: its id.
-- $1 kind, $2 account or null, $3 account that acts or null, $4 command that acts or null, $5 IP address or null,
-- $6 device, $7 request id, $8 details, a JSON object, or null
insert into events (kind, user_id, actor_id, command, address, device, request_id, details)
values ($1, $2, $3, $4, $5::text::inet, $6, $7, $8::jsonb)
returning id
