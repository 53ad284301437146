-- What the server says about itself: one row.
select
    current_setting('server_version') as version,
    pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as is_read_only,
    current_setting('fsync')::boolean as has_fsync,
    current_setting('synchronous_commit') as synchronous_commit,
    extract(epoch from clock_timestamp())::double precision as seconds
