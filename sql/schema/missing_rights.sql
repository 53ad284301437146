-- The statement that lets this role use the tables: one row, statement; no row if it may.
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
    where n.nspname = schema.name
    and c.relkind = 'r'
    and not (
        has_table_privilege(c.oid, 'select')
        and has_table_privilege(c.oid, 'insert')
        and has_table_privilege(c.oid, 'update')
        and has_table_privilege(c.oid, 'delete')
    )
)
