drop trigger users_make_profile on users;
drop table profiles;
drop function touch_profile();
drop function make_profile();
