drop trigger users_make_events_anonymous on users;
drop function make_events_anonymous();
drop table events;
