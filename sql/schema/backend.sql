-- The process id of the server process that runs this statement: one row, pid.
select pg_backend_pid() as pid
