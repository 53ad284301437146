-- The names of the migrations that were applied to this database.
select migration_id as name
from _yoyo_migration
