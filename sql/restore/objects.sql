-- What the schema consists of, a line for each part: tables, columns, indexes, constraints, triggers and functions.
-- Not the text of expressions: PostgreSQL writes some in another way after a restore.
select
    case when c.relkind = 'i' then 'index ' when c.relkind = 'S' then 'sequence ' else 'table ' end
        || c.relname as object
from pg_class c
where c.relnamespace = 'public'::regnamespace
union
select
    format('column %s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
        || case when a.attnotnull then ' not null' else '' end
        || case when a.atthasdef or a.attidentity <> '' then ' with a default' else '' end
from pg_attribute a
join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
union
select format('constraint %s of %s', k.conname, k.conrelid::regclass)
from pg_constraint k
where k.connamespace = 'public'::regnamespace and k.contype <> 'n'
union
select format('trigger %s of %s', t.tgname, c.relname)
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'public'::regnamespace and not t.tgisinternal
union
select format('function %s(%s) %s', p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc))
from pg_proc p
where p.pronamespace = 'public'::regnamespace
order by object
