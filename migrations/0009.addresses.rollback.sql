drop trigger users_make_way_at_update on users;
drop trigger users_make_way_at_insert on users;
drop function make_way();
drop function gives_way(users);
drop trigger users_end_one_time_tokens on users;
create trigger users_end_one_time_tokens after update of password, email on users
for each row when (old.password <> new.password or old.email <> new.email)
execute function end_one_time_tokens();
create or replace function email_key(email text) returns text
language sql immutable strict parallel safe
return lower(email collate "pg_c_utf8");
alter table users alter column email_key set expression as (email_key(email));
drop function email_key_of_any(text);
drop function domain_mapped(text);
drop function punycode_decode(text);
