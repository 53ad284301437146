-- The statement that lets the current role create objects in its schema, or no row when it may.
select format('GRANT CREATE ON SCHEMA %I TO %I;', name, current_user) as statement
from current_schema() as name
where not has_schema_privilege(name, 'create')
