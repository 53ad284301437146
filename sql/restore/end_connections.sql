-- End every connection to the database in force: whether each was ended. Not as a condition: PostgreSQL would end others,
-- too, since it may look at conditions in any order.
select pg_terminate_backend(pid) as was_ended
from pg_stat_activity
where datname = 'frontdesk'
