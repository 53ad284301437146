-- depends: 0013.limits

-- A letter with a link to choose another address, where people sign in with their address (contract 11.29).
alter table one_time_tokens drop constraint one_time_tokens_purpose_known;
alter table one_time_tokens add constraint one_time_tokens_purpose_known check (
    purpose in ('activation', 'email_change', 'password_reset', 'username_reset', 'email_reset')
);
alter table letters drop constraint letters_kind_known;
alter table letters add constraint letters_kind_known check (
    kind in (
        'activation', 'email_change', 'password_reset', 'username_reset', 'email_reset', 'confirmation',
        'password_changed', 'username_changed', 'email_pending', 'email_changed'
    )
);
