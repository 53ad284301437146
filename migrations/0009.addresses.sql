-- depends: 0004.one_time_tokens 0008.account_fields

-- One address is one key (contract 11.37), and an account that was never activated gives way (contract 11.34).

-- The text of an "xn--" label without its prefix, in lower case (RFC 3492 §6.2). Null when it does not decode.
create function punycode_decode(encoded text) returns text
language plpgsql immutable strict parallel safe
as $$
declare
    delimiter int := length(encoded) - strpos(reverse(encoded), '-') + 1;
    decoded text := '';
    digit int;
    i bigint := 0;
    before bigint;
    weight bigint;
    threshold int;
    bias int := 72;
    code bigint := 128;
    delta bigint;
    k int;
    place int := 1;
begin
    if encoded !~ '^[a-z0-9-]{1,59}$' then
        return null;
    end if;
    if delimiter <= length(encoded) then
        decoded := left(encoded, delimiter - 1);
        place := delimiter + 1;
    end if;
    while place <= length(encoded) loop
        before := i;
        weight := 1;
        k := 36;
        loop
            digit := strpos('abcdefghijklmnopqrstuvwxyz0123456789', substr(encoded, place, 1)) - 1;
            if place > length(encoded) or digit < 0 then
                return null;
            end if;
            place := place + 1;
            i := i + digit * weight;
            threshold := least(greatest(k - bias, 1), 26);
            exit when digit < threshold;
            weight := weight * (36 - threshold);
            if i > 2147483647 or weight > 2147483647 then
                return null;
            end if;
            k := k + 36;
        end loop;
        delta := case when before = 0 then (i - before) / 700 else (i - before) / 2 end;
        delta := delta + delta / (length(decoded) + 1);
        k := 0;
        while delta > 455 loop
            delta := delta / 35;
            k := k + 36;
        end loop;
        bias := k + 36 * delta / (delta + 38);
        code := code + i / (length(decoded) + 1);
        i := i % (length(decoded) + 1);
        if code > 1114111 or code between 55296 and 57343 then
            return null;
        end if;
        decoded := left(decoded, i::int) || chr(code::int) || substr(decoded, i::int + 1);
        i := i + 1;
    end loop;
    return decoded;
end
$$;

-- A domain as UTS 46 maps it (nontransitional: "ß" and "ς" stay, and what only decomposes to "ς" is "σ"). Decomposed
-- (NFKD), the iota subscript as a letter, in lower case, composed (NFKC); characters that UTS 46 ignores are removed, and
-- its full stops are dots. "pg_c_utf8" gives the same key on PostgreSQL 17 and 18, in any locale of the database.
create function domain_mapped(domain text) returns text
language sql immutable strict parallel safe
return normalize(
    lower(
        translate(
            regexp_replace(
                normalize(replace(domain, 'ς', U&'\0001'), nfkd),
                '[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200b\u2060\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]', '', 'g'
            ),
            U&'ς\0345\3002\0001\1C80\1C81\1C82\1C83\1C84\1C85\1C86\1C87\1C88', U&'σι.ςвдосттъ\0463\A64B'
        ) collate "pg_c_utf8"
    ),
    nfkc
);

-- The key of an address that has characters beyond ASCII or a label in Punycode. A label that is not the Punycode of a
-- mapped text stays as it is: it is no other spelling of anything.
create function email_key_of_any(email text) returns text
language plpgsql immutable strict parallel safe
as $$
declare
    at int := length(email) - strpos(reverse(email), '@') + 1;
    label text;
    decoded text;
    mapped text;
    labels text[] := '{}';
begin
    if at > length(email) then
        return lower(email collate "pg_c_utf8");
    end if;
    foreach label in array string_to_array(domain_mapped(substr(email, at + 1)), '.') loop
        if label like 'xn--%' then
            decoded := punycode_decode(substr(label, 5));
            -- Of Cherokee letters UTS 46 keeps the capital ones, and the key has the small ones.
            mapped := domain_mapped(decoded);
            if octet_length(decoded) > length(decoded)
                and mapped in (decoded, case when decoded ~ '[\u13a0-\u13f5]' then lower(decoded collate "pg_c_utf8") end)
            then
                label := mapped;
            end if;
        end if;
        labels := labels || label;
    end loop;
    return lower(left(email, at) collate "pg_c_utf8") || array_to_string(labels, '.');
end
$$;

-- The key of an address: one for all its spellings in case, and for all of its domain (UTS 46). Similar letters of other
-- scripts stay different. Not strict, so that it is inlined: the common address costs what it cost before.
create or replace function email_key(email text) returns text
language sql immutable parallel safe
return case
    when octet_length(email) > length(email) or strpos(email, '--') > 0 then email_key_of_any(email)
    else lower(email collate "pg_c_utf8")
end;

-- Two accounts that have one key now: the start stops with their ids, and all stays as it was.
do $$
declare
    shared text;
begin
    select string_agg(ids, '; ') into shared
    from (
        select string_agg(id::text, ', ' order by id) as ids
        from users
        where email <> ''
        group by email_key(email)
        having count(*) > 1
        order by min(id)
        limit 20
    ) as found;
    if shared is not null and to_regclass('users_email_key') is not null then
        raise unique_violation using message = 'accounts share an address', detail = shared, constraint = 'users_email_key';
    end if;
end
$$;

alter table users alter column email_key set expression as (email_key(email));

-- Another spelling of the address leaves the account's tokens alone: their letters went to the same address.
drop trigger users_end_one_time_tokens on users;
create trigger users_end_one_time_tokens after update of password, email on users
for each row when (old.password <> new.password or old.email_key <> new.email_key)
execute function end_one_time_tokens();

-- Accounts that wait for their activation, and whose token was swept before this migration, get its usual lifetime once
-- more. No token has this hash.
insert into one_time_tokens (user_id, purpose, hash, expires_at)
select id, 'activation', '', now() + interval '3 days'
from users
where awaits_activation
on conflict (user_id, purpose) do nothing;

-- Whether an account was never activated and the link for it has expired: it gives way to any other. An account without
-- a token of activation, which an operator made, holds its name and address.
create function gives_way(account users) returns boolean
language sql stable
begin atomic
    select (account).awaits_activation and exists (
        select 1 from one_time_tokens
        where user_id = (account).id and purpose = 'activation' and expires_at <= now()
    );
end;

-- Make way before an account takes a name or an address, whatever program writes it. The second look is needed: another
-- transaction may have renewed the token before the lock was free. Without scans of the table: a plan that was made while
-- the table was small would stay.
create function make_way() returns trigger language plpgsql
set enable_seqscan = off
as $$
declare
    holder bigint;
begin
    for holder in
        select u.id
        from users u
        where (u.username_key = username_key(new.username)
                or u.email_key = email_key(new.email) and u.email_key <> '' and to_regclass('users_email_key') is not null)
            and u.awaits_activation and u.id is distinct from new.id and gives_way(u)
        order by u.id
        for update
    loop
        delete from users u where u.id = holder and gives_way(u);
    end loop;
    return new;
end
$$;

create trigger users_make_way_at_insert before insert on users
for each row execute function make_way();

create trigger users_make_way_at_update before update of username, email on users
for each row when (old.username is distinct from new.username or old.email <> new.email)
execute function make_way();
