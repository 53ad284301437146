-- UNIQUE_EMAIL=true: only one account may have an address. Fails with 23505 when two accounts have the same one;
-- the detail has their ids, those that share one separated by commas.
-- Looks before it creates: "create index if not exists" locks the table even if the index exists, and every insert
-- waits.
do $$
declare
    shared text;
begin
    if to_regclass('users_email_key') is null then
        select string_agg(ids, '; ') into shared
        from (
            select string_agg(id::text, ', ' order by id) as ids
            from users
            where email_key <> ''
            group by email_key
            having count(*) > 1
            order by min(id)
            limit 20
        ) as found;
        if shared is not null then
            raise unique_violation using message = 'accounts share an address', detail = shared;
        end if;
        create unique index users_email_key on users (email_key) where email_key <> '';
    end if;
    if to_regclass('users_email_lookup') is not null then
        drop index users_email_lookup;
    end if;
end
$$
