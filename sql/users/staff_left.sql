-- Whether no active staff account is left after a change of one: one row, id, or no row.
-- $1 account that was changed, or null for a staff account that was deleted
select coalesce($1::bigint, 0) as id
where not exists (select 1 from users where is_staff and is_active)
    and ($1::bigint is null or exists (select 1 from users where id = $1 and is_staff))
