-- Every array type that a parameter or a column of a statement has: asyncpg looks each up in the catalog when a
-- connection meets it first, and behind a pooler all of them before that.
select
    null::bigint[] as bigints,
    null::bytea[] as byteas,
    null::double precision[] as doubles,
    null::jsonb[] as jsonbs,
    null::text[] as texts,
    null::timestamptz[] as times,
    null::uuid[] as uuids
