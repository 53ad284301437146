-- depends: 0018.bounded_deletion

-- After the deletion of an account no row says from which networks it was guessed or used: the limits of its sign-ins, each
-- with the number of the account and a network, are deleted with it. '!' is the character after ' ' in the collation "C".
-- The limits of a network alone stay: they name no account, end within their window, and deleting an account must not
-- give its network new tries.
create or replace function make_events_anonymous() returns trigger language plpgsql as $$
declare
    last_id bigint := (select max(id) from events);
    cleared_to bigint := clear_events(old.id, 0, last_id, 10000);
begin
    if cleared_to is not null then
        -- An import may have taken the number of an account that was deleted a moment ago.
        insert into deleted_accounts (user_id, after_id, last_id)
        values (old.id, cleared_to, last_id)
        on conflict (user_id) do update
        set after_id = least(deleted_accounts.after_id, excluded.after_id), last_id = excluded.last_id;
    end if;
    delete from limits
    where key >= 'sign-in account ' || old.id and key < 'sign-in account ' || old.id || '!';
    return null;
end
$$;
