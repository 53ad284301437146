-- Indexes that PostgreSQL does not use, since building them failed: their names; and whether addresses are unique.
select
    array(
        select c.relname::text
        from pg_index i
        join pg_class c on c.oid = i.indexrelid
        where not i.indisvalid and c.relnamespace = current_schema()::regnamespace
        order by c.relname
    ) as invalid,
    to_regclass('users_email_key') is not null as has_unique_email
