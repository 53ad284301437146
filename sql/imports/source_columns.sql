-- The columns of a table: their names.
-- $1 name of the table, quoted where it must be
select attname::text as name
from pg_attribute
where attrelid = to_regclass($1::text) and attnum > 0 and not attisdropped
