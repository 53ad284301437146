-- Forget the failed sign-ins of an account, or those from a network: the keys.
-- $1 beginning of the keys
delete from limits
where key = $1::text or starts_with(key, $1::text || ' ')
returning key
