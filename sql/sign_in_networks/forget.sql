-- Forget the networks of an account but the latest: those that were forgotten.
-- $1 user id, $2 networks that stay
delete from sign_in_networks
where user_id = $1 and network in (
    select network
    from sign_in_networks
    where user_id = $1
    order by last_seen_at desc, network
    offset $2
)
returning network
