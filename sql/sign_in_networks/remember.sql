-- Remember that an account signed in from a network: the network, or no row when it was noted in the last day.
-- $1 user id, $2 network
insert into sign_in_networks (user_id, network)
values ($1, $2::text::inet)
on conflict (user_id, network) do update
set last_seen_at = now()
where sign_in_networks.last_seen_at < now() - interval '1 day'
returning network
