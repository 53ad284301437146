-- Everything that is stored about an account but its sessions and events, as JSON: one row, account; no row when it does
-- not exist.
-- Without what proves an identity: the hash of its password, of its tokens and of its links.
-- $1 id
select jsonb_build_object(
    'id', u.id,
    'username', u.username,
    'email', u.email,
    'pending_email', u.pending_email,
    'language', u.language,
    'role', u.role,
    'is_active', u.is_active,
    'is_staff', u.is_staff,
    'awaits_activation', u.awaits_activation,
    'account_fields', u.account_fields,
    'date_joined', u.date_joined,
    'last_login', u.last_login,
    'adopts_tokens', u.adopts_tokens,
    'profile', (
        select jsonb_build_object(
            'id', p.id,
            'description', p.description,
            'location', p.location,
            'is_creator', p.is_creator,
            'date_joined', p.date_joined,
            'updated_on', p.updated_on
        )
        from profiles p
        where p.user_id = u.id
    ),
    'role_fields', (select coalesce(jsonb_object_agg(f.role, f.fields), '{}') from role_fields f where f.user_id = u.id),
    'networks', (
        select coalesce(
            jsonb_agg(jsonb_build_object('network', n.network, 'last_seen_at', n.last_seen_at) order by n.network), '[]'
        )
        from sign_in_networks n
        where n.user_id = u.id
    ),
    'letters', (
        select coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'kind', l.kind,
                    'address', l.address,
                    'queued_at', l.queued_at,
                    'tries', l.tries,
                    'given_up_at', l.given_up_at
                )
                order by l.id
            ),
            '[]'
        )
        from letters l
        where l.user_id = u.id
    )
)::text as account
from users u
where u.id = $1
