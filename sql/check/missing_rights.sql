-- The tables that this role may not use as the service does: one row for each, name and the rights that are missing.
select c.relname::text as name, array_agg(need.right_name order by need.right_name) as missing
from pg_class c
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as need (right_name)
where c.relnamespace = current_schema()::regnamespace
    and c.relkind = 'r'
    and not starts_with(c.relname, '_yoyo')
    and c.relname <> 'yoyo_lock'
    and not has_table_privilege(c.oid, need.right_name)
group by c.relname
order by c.relname
