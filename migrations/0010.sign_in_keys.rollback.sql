drop trigger if exists users_keep_sign_in_keys on users;
drop trigger if exists users_give_way_for_keys on users;
drop function keep_sign_in_keys();
drop function make_way_for_keys();
drop table sign_in_keys;
drop function sign_in_key(text);
