"""The settings that there are. Each field is the environment variable of the same name in capitals.

A test keeps README's table equal to this class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.settings import connections, roles, site, values
from server.settings import database_url as database_urls
from server.settings.rates import Rate, rate
from server.settings.roles import Roles
from server.settings.site import Site

DATA_DIR = Path("data")


def _setting(parse: Callable[[str], Any], default: Any, description: str, *, secret: bool = False) -> Any:
    return field(
        default=default, repr=not secret, metadata={"parse": parse, "description": description, "secret": secret}
    )


@dataclass(frozen=True, kw_only=True)
class Declared:
    """Every setting: how its text is read, its default, and what it is. Times are in seconds."""

    host: str = _setting(
        values.host,
        "127.0.0.1",
        "address to listen on; `0.0.0.0`: all of IPv4, `::`: all of IPv6 alone, a name: all its addresses",
    )
    port: int = _setting(
        values.whole(0, 65535), 8080, "port to listen on; 0 takes a free one, which links know from `PUBLIC_URL` alone"
    )
    workers: int = _setting(
        values.workers, 1, f"processes that serve the port, at most {values.MAX_WORKERS}; `auto`: one for each core"
    )
    max_connections: int = _setting(
        values.whole(0, 1_000_000),
        0,
        "open connections of clients, for each worker; 0: as many as open files allow (`ulimit -n`), 10,000 at most",
    )
    metrics: str = _setting(
        values.address, "", "address and port of `/metrics` for Prometheus, such as `127.0.0.1:9464`; empty: nowhere"
    )
    otel_exporter_otlp_endpoint: str = _setting(
        values.site, "", "collector of OpenTelemetry that gets traces, such as `http://127.0.0.1:4318`; empty: none"
    )
    database_url: str = _setting(
        database_urls.database_url,
        "",
        f"PostgreSQL {values.MIN_POSTGRES} or newer, `postgresql://…`; empty: the bundled one",
        secret=True,
    )
    database_connections: int = _setting(connections.connections, 0, connections.DESCRIPTION)
    database_pooler: str = _setting(
        values.choice("auto", "session", "transaction"),
        "auto",
        "`pool_mode` of a pooler in front of PostgreSQL: `session`, `transaction`; `auto`: the service finds a pooler",
    )
    replica_url: str = _setting(
        database_urls.replica_url,
        "",
        "replicas of `DATABASE_URL` for reads that may lag (lists, other people's profiles); empty: none",
        secret=True,
    )
    data_dir: Path = _setting(Path, DATA_DIR, "folder of the bundled database and of the signing key made for it")
    signing_key: str = _setting(
        values.key,
        "",
        "signs tokens, 32 bytes or more; required with `DATABASE_URL`, otherwise made once",
        secret=True,
    )
    verifying_keys: tuple[str, ...] = _setting(
        values.keys, (), "other keys whose tokens are accepted, one a line, while `SIGNING_KEY` is changed", secret=True
    )
    access_lifetime: int = _setting(values.whole(1, 31_536_000), 300, "life of an access token in seconds")
    refresh_lifetime: int = _setting(
        values.whole(1, 315_360_000), 86400, "life of a refresh token and of its session in seconds"
    )
    refresh_rotation: bool = _setting(
        values.flag, False, "each refresh answers with a new refresh token, and the used one ends its session"
    )
    refresh_grace: int = _setting(
        values.whole(0, 300), 10, "seconds for which a used refresh token still gets its successor"
    )
    session_lifetime: int = _setting(
        values.whole(60, 315_360_000), 2_592_000, "end of a session in seconds, with `REFRESH_ROTATION` however used"
    )
    session_idle_lifetime: int = _setting(
        values.whole(0, 315_360_000), 0, "seconds after which a session that is not used ends; 0: off"
    )
    sessions_per_account: int = _setting(
        values.whole(1, 1_000_000), 1000, "sessions of one account; a further sign-in ends the one used longest ago"
    )
    adopt_simplejwt: bool = _setting(
        values.flag, False, "refresh tokens of the Django site that accounts were imported from open a session"
    )
    simplejwt_key: str = _setting(
        values.key, "", "the key of that site (`SIGNING_KEY` of SIMPLE_JWT, else `SECRET_KEY`)", secret=True
    )
    bcrypt_rounds: int = _setting(values.whole(4, 20), 12, "cost of a password hash; each step doubles it")
    unique_email: bool = _setting(
        values.flag, True, "one account per e-mail address; takes effect when the schema is migrated"
    )
    cors_origins: tuple[str, ...] = _setting(
        values.origins, (), "origins whose pages may call, separated by commas; `*` for all"
    )
    trusted_proxies: tuple[values.IPNetwork, ...] = _setting(
        values.proxies, (), "addresses and networks of your proxies, separated by commas; they name the client"
    )
    proxy_header: str = _setting(
        values.choice("x-forwarded-for", "forwarded"), "x-forwarded-for", "the header in which they name it"
    )
    limit_sign_in_account: Rate | None = _setting(
        rate, Rate(10, 900), "wrong passwords for one account (security 9), `10/15m`: ten, then one each 90 s; or `off`"
    )
    limit_sign_in_network: Rate | None = _setting(rate, Rate(100, 900), "wrong passwords from one network")
    limit_registrations_network: Rate | None = _setting(rate, Rate(200, 3600), "registrations from one network")
    limit_changes_account: Rate | None = _setting(
        rate, Rate(20, 3600), "tries of one account to take another name or address"
    )
    limit_changes_network: Rate | None = _setting(rate, Rate(200, 3600), "the same from one network")
    limit_letters_address: Rate | None = _setting(rate, Rate(10, 3600), "letters that callers ask for to one address")
    limit_letters_network: Rate | None = _setting(rate, Rate(100, 3600), "letters that one network asks for")
    limit_links_network: Rate | None = _setting(
        rate, Rate(50, 900), "links of letters that are not valid, from one network"
    )
    limit_exports_account: Rate | None = _setting(rate, Rate(5, 86400), "exports of everything held about one account")
    unlimited_networks: tuple[values.IPNetwork, ...] = _setting(
        values.networks,
        values.networks("127.0.0.0/8,::1"),
        "networks without limits per network, or `off`; this machine, since all clients of a local proxy look like it",
    )
    events_lifetime: int = _setting(values.whole(1, 36500), 180, "days that events are kept")
    migrate_on_start: bool = _setting(values.flag, True, "migrate the schema at start")
    log_format: str = _setting(values.choice("text", "json"), "text", "form of the log: `text` or `json`")
    docs: bool = _setting(values.flag, True, "Swagger UI at `/docs`, and `/openapi.json`")
    access_log: bool = _setting(values.flag, False, "a log line for every request, not only for failures")

    login_field: str = _setting(
        values.choice("username", "email", "either"),
        "username",
        "what people sign in with: `username`, `email` or `either`",
    )
    hide_users: bool = _setting(values.flag, True, "other people's accounts are not found, instead of forbidden")
    user_create_password_retype: bool = _setting(values.flag, False, "registration asks for `re_password`")
    set_password_retype: bool = _setting(values.flag, False, "a new password is asked for twice: `re_new_password`")
    password_reset_confirm_retype: bool = _setting(values.flag, False, "the same when a password is reset")
    set_username_retype: bool = _setting(
        values.flag, False, "a new username or address (`set_email`) is asked for twice: `re_new_…`"
    )
    username_reset_confirm_retype: bool = _setting(values.flag, False, "the same when a username is reset")
    password_reset_show_email_not_found: bool = _setting(
        values.flag, False, "a request for a letter answers that no account has the address"
    )
    username_reset_show_email_not_found: bool = _setting(values.flag, False, "the same; either one is enough")

    send_activation_email: bool = _setting(
        values.flag, False, "a new account, and a new address, wait until the link in a letter is followed"
    )
    send_confirmation_email: bool = _setting(values.flag, False, "a letter when an account is ready for use")
    password_changed_email_confirmation: bool = _setting(values.flag, True, "a letter when the password was changed")
    username_changed_email_confirmation: bool = _setting(values.flag, True, "a letter when the username was changed")
    password_reset_timeout: int = _setting(
        values.whole(60, 31_536_000), 259_200, "life of the links in letters in seconds"
    )
    activation_url: str = _setting(
        values.link, "activate/{uid}/{token}", "link of an activation letter, below `PUBLIC_URL`"
    )
    password_reset_confirm_url: str = _setting(
        values.link, "password/reset/{uid}/{token}", "link of a password reset letter, below `PUBLIC_URL`"
    )
    username_reset_confirm_url: str = _setting(
        values.link, "username/reset/{uid}/{token}", "link of a username reset letter, below `PUBLIC_URL`"
    )
    email_reset_confirm_url: str = _setting(
        values.link, "email/reset/{uid}/{token}", "link of an address reset letter (`LOGIN_FIELD=email`)"
    )
    auth_path: str = _setting(values.place, "/auth", "where the paths of accounts and sign-in begin")
    accounts_path: str = _setting(values.place, "/api/accounts", "where the paths of profiles begin")
    public_url: str = _setting(values.site, "", "where people reach the site; empty: `http://HOST:PORT`")
    sign_in_url: str = _setting(
        values.page, "", "page of your site where people sign in; empty: pages have no link to it"
    )
    home_url: str = _setting(values.page, "", "first page of your site; empty: pages have no link to it")
    change_password_url: str = _setting(
        values.page,
        "",
        "page of your site where people change their password; empty: the page of this service that mails a link",
    )
    site_name: str = _setting(values.line, "Frontdesk", "name of the site in letters and pages")
    mail_from: str = _setting(values.sender, "webmaster@localhost", "sender of letters")
    smtp_url: str = _setting(
        values.smtp,
        "",
        "mail server, `smtp://…`, `smtp+starttls://…` or `smtps://…`; empty: letters go to `MAIL_DIR`",
        secret=True,
    )
    mail_dir: Path | None = _setting(Path, None, "folder of letters, one `.eml` each; empty: `mail` in `DATA_DIR`")
    templates_dir: Path | None = _setting(
        values.folder, None, "folder of your own templates of letters and pages; they replace the built-in ones"
    )

    site_file: Site = _setting(
        site.read, Site(), "file (TOML) that declares what an account consists of, and the roles of the site"
    )
    roles_file: Roles = _setting(
        roles.read, Roles(), "file (TOML) of the roles that accounts may have, and of the fields of each"
    )
