drop trigger users_end_sessions on users;
drop table sessions;
drop function end_sessions();
