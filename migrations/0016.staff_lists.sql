-- depends: 0015.session_use

-- Staff search accounts, filter them and see their state; people search profiles (contract 2.3). Every list walks an
-- index, so that a million accounts are no slower than a thousand.

-- The grams of a term: every three characters in a row, after a letter that says in which text of an account they are.
-- A shorter term is a gram itself: it finds texts that begin with it.
-- Not pg_trgm: that needs a right which a role may lack, and where LC_CTYPE is C, as in the bundled database, it knows
-- no letters beyond ASCII (docs/decisions/search.md).
create function term_grams(tag text, term text) returns text[]
language sql immutable parallel safe
return case
    when length(term) < 3 then array[tag || term]
    else array(select distinct tag || substr(term, i, 3) from generate_series(1, length(term) - 2) as i)
end;

-- Whether a term finds a text: anywhere in it; a term of one or two characters only at its beginning.
create function finds(term text, value text) returns boolean
language sql immutable parallel safe
return case when length(term) < 3 then starts_with(value, term) else strpos(value, term) > 0 end;

-- The texts among the account fields that the site declares, as one text that can be searched. Long ones are cut, so that
-- no account costs the index much.
create function fields_key(account_fields jsonb) returns text
language sql immutable strict parallel safe
return (
    select left(string_agg(lower(left(value #>> '{}', 100) collate "pg_c_utf8"), U&'\000A' order by value), 500)
    from jsonb_path_query(account_fields, 'strict $.* ? (@.type() == "string")') as value
);

-- Every gram that finds an account: u of its username, e of its address, f of its account fields. Positions begin at -1,
-- so that the first two grams of a text are its beginnings. In plpgsql, in 40 % of the time of sql; it calls no function of
-- this schema, since PostgreSQL builds indexes with another search_path.
create function account_grams(username_key text, email_key text, fields_key text) returns text[]
language plpgsql immutable parallel safe cost 5000
as $$
declare
    found text[] := '{}';
    n int := 2;
begin
    for i in -1 .. coalesce(length(username_key), 0) - 2 loop
        found[n + i] := 'u' || substr(username_key, i, 3);
    end loop;
    n := n + coalesce(length(username_key), 0);
    for i in -1 .. length(email_key) - 2 loop
        found[n + i] := 'e' || substr(email_key, i, 3);
    end loop;
    n := n + length(email_key);
    for i in -1 .. coalesce(length(fields_key), 0) - 2 loop
        found[n + i] := 'f' || substr(fields_key, i, 3);
    end loop;
    return found;
end
$$;

create index users_grams on users using gin (account_grams(username_key, email_key, fields_key(account_fields)));

-- Whether a term finds an account: by its username, its address or its account fields. Inlined into statements.
create function is_found(account users, term text) returns boolean
language sql immutable parallel safe
return account_grams((account).username_key, (account).email_key, fields_key((account).account_fields))
        @> term_grams('u', username_key(term))
    and finds(username_key(term), (account).username_key)
    or account_grams((account).username_key, (account).email_key, fields_key((account).account_fields))
        @> term_grams('e', email_key(term))
    and finds(email_key(term), (account).email_key)
    or account_grams((account).username_key, (account).email_key, fields_key((account).account_fields))
        @> term_grams('f', lower(term collate "pg_c_utf8") collate "default")
    and finds(lower(term collate "pg_c_utf8") collate "default", fields_key((account).account_fields));

-- Whether a term finds an account by what every signed-in caller sees of it.
create function is_found_by_name(account users, term text) returns boolean
language sql immutable parallel safe
return account_grams((account).username_key, (account).email_key, fields_key((account).account_fields))
        @> term_grams('u', username_key(term))
    and finds(username_key(term), (account).username_key);

-- Filters for what few accounts are.
create index users_staff on users (id) where is_staff;
create index users_inactive on users (id) where not is_active;
create index users_awaiting on users (id) where awaits_activation;
create index users_role on users (role, id) where role is not null;

create index events_signed_in on events (user_id, id) where kind = 'signed_in';  -- the last sign-in of an account
