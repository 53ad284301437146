delete from one_time_tokens where purpose = 'email_reset';
delete from letters where kind = 'email_reset';
alter table letters drop constraint letters_kind_known;
alter table letters add constraint letters_kind_known check (
    kind in (
        'activation', 'email_change', 'password_reset', 'username_reset', 'confirmation', 'password_changed',
        'username_changed', 'email_pending', 'email_changed'
    )
);
alter table one_time_tokens drop constraint one_time_tokens_purpose_known;
alter table one_time_tokens add constraint one_time_tokens_purpose_known check (
    purpose in ('activation', 'email_change', 'password_reset', 'username_reset')
);
