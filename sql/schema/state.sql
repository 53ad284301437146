-- The state of this database: one row, the names of the migrations that were applied, and is_read_only: a standby, or a
-- server that an administrator keeps from changes.
select
    array(select migration_id::text from _yoyo_migration) as applied,
    current_setting('transaction_read_only')::boolean as is_read_only
