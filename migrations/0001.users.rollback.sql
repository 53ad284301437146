drop table users;
drop function email_key(text);
drop function username_key(text);
