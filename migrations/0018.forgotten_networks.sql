-- depends: 0017.restorable

-- After the deletion of an account no row says from which networks it was guessed or used: the limits of its sign-ins, each
-- with the number of the account and a network, are deleted with it. '!' is the character after ' ' in the collation "C".
-- The limits of a network alone stay: they name no account, end within their window, and deleting an account must not
-- give its network new tries.
create or replace function make_events_anonymous() returns trigger language plpgsql as $$
begin
    update events
    set address = null, device = '', request_id = '', details = null
    where user_id = old.id;
    update events
    set address = null, device = '', request_id = ''
    where actor_id = old.id and actor_id is not null and actor_id is distinct from user_id;
    delete from limits
    where key >= 'sign-in account ' || old.id and key < 'sign-in account ' || old.id || '!';
    return null;
end
$$;
