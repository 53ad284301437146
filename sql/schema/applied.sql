-- The migrations that this database has, by name.
select migration_id as name
from _yoyo_migration
