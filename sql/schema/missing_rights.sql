-- The statement that lets this role use the tables: one row, statement; no row if it may do what `check/missing_rights`
-- asks for.
select format(
    'GRANT USAGE ON SCHEMA %1$I TO %2$I; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO %2$I;',
    schema.name,
    current_user
) as statement
from (select coalesce(current_schema(), 'public') as name) as schema
where not has_schema_privilege(schema.name, 'usage')
or exists (
    select 1
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as need (right_name)
    where n.nspname = schema.name
        and c.relkind = 'r'
        and (not starts_with(c.relname, '_yoyo') or (c.relname = '_yoyo_migration' and need.right_name = 'SELECT'))
        and c.relname <> 'yoyo_lock'
        and not has_table_privilege(c.oid, need.right_name)
)
