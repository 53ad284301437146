-- The statement that gives this role the right to make tables in its schema: one row, statement; no row if it has the
-- right. Without any schema that it may use, that is public. PostgreSQL 15 and newer give the right to owners alone.
select format('GRANT USAGE, CREATE ON SCHEMA %I TO %I;', schema.name, current_user) as statement
from (select coalesce(current_schema(), 'public') as name) as schema
where not (has_schema_privilege(schema.name, 'usage') and has_schema_privilege(schema.name, 'create'))
