-- The tables that this role may not use as the service does: one row for each, name, the rights that are missing, and
-- the statement that gives them. Of the tables of yoyo the service reads one, and writes none.
select
    c.relname::text as name,
    string_agg(need.right_name, ', ' order by need.right_name) as missing,
    format(
        'GRANT %s ON %I TO %I',
        string_agg(need.right_name, ', ' order by need.right_name),
        c.relname,
        current_user
    ) as statement
from pg_class c
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as need (right_name)
where c.relnamespace = current_schema()::regnamespace
    and c.relkind = 'r'
    and (not starts_with(c.relname, '_yoyo') or (c.relname = '_yoyo_migration' and need.right_name = 'SELECT'))
    and c.relname <> 'yoyo_lock'
    and not has_table_privilege(c.oid, need.right_name)
group by c.relname
order by c.relname
