-- Which server this is, and its place in the write-ahead log: one row, of a primary and of a replica.
-- Equal system and database: the same data. position: bytes of the log that a primary has written to its disk, and that a
-- replica has replayed. seconds: of the replica's last replayed transaction, by its clock; null on a primary.
select
    pg_is_in_recovery() as is_replica,
    system_identifier as system,
    (select d.oid::bigint from pg_database d where d.datname = current_database()) as database,
    (
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end - '0/0'::pg_lsn
    )::bigint as position,
    extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::double precision as seconds
from pg_control_system()
