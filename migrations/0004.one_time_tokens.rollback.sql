drop trigger users_settle_activation on users;
drop function settle_activation();
drop trigger users_end_one_time_tokens on users;
drop function end_one_time_tokens();
drop table one_time_tokens;
alter table users
    drop constraint users_awaits_inactive,
    drop constraint users_pending_email_length,
    drop column awaits_activation,
    drop column pending_email,
    drop column language;
