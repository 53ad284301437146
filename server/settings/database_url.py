"""DATABASE_URL, read once as libpq reads it, for the three libraries that connect: asyncpg, psycopg and yoyo.

Source: PostgreSQL documentation, 32.1.1 "Connection Strings" and 32.1.2 "Parameter Key Words". A part that is missing
has libpq's default: the environment variable `PG…`, then that of libpq. No error repeats a part of the URL but the
names of parameters: any other text may be the password.
"""

import functools
import re
from typing import Any
from urllib.parse import quote, urlencode

# What both libraries know, with the same meaning.
_ADDRESS_PARAMETERS = frozenset({"host", "port", "dbname", "user", "password", "passfile", "target_session_attrs"})
_TLS_PARAMETERS = frozenset(
    {
        *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
_SESSION_PARAMETERS = frozenset({"application_name", "options"})
# Only libpq knows these, so they hold for migrations alone. Hosting companies put them into the URLs they give out.
_LIBPQ_PARAMETERS = frozenset(
    {
        *("channel_binding", "connect_timeout", "fallback_application_name", "gssencmode", "require_auth"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    }
)
_KNOWN_PARAMETERS = _ADDRESS_PARAMETERS | _TLS_PARAMETERS | _SESSION_PARAMETERS | _LIBPQ_PARAMETERS
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")


def database_url(value: str) -> str:
    """The URL of a PostgreSQL database, checked. Raises ValueError with every fault that can be told apart."""
    if not re.match(r"postgres(ql)?://", value):
        raise ValueError("begins with postgresql://")
    if re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError("has white space or a line break inside: write a blank as %20")
    names = [part.partition("=")[0] for part in value.partition("?")[2].split("&")] if "?" in value else []
    unknown = sorted({name for name in names if re.fullmatch("[a-z_]{1,40}", name)} - _KNOWN_PARAMETERS - {"ssl"})
    if unknown:
        raise ValueError(f"has parameters that the service does not support: {', '.join(unknown)}")
    try:
        parameters = for_psycopg(value)
    except Exception:  # psycopg.ProgrammingError, whose text may have the password
        raise ValueError(
            "cannot be read: in user, password and names write special characters percent-encoded (% as %25, @ as %40)"
        ) from None
    if faults := list(_faults(parameters)):
        raise ValueError("; ".join(faults))
    return value


def _faults(parameters: dict[str, str]) -> "list[str]":
    faults = []
    hosts, ports = parameters.get("host", "").split(","), parameters.get("port", "").split(",")
    if not all(port == "" or (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65535) for port in ports):
        faults.append("has a port that is no number from 1 to 65535 (a / in the password is written %2F)")
    if len(ports) not in (1, len(hosts)):
        faults.append("has another number of ports than of hosts")
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        faults.append(f"has an sslmode that is none of {', '.join(_SSL_MODES)}")
    if parameters.get("target_session_attrs", "any") not in _SESSION_ATTRIBUTES:
        faults.append(f"has target_session_attrs that are none of {', '.join(_SESSION_ATTRIBUTES)}")
    return faults


@functools.lru_cache(8)
def _read(url: str) -> tuple[tuple[str, str], ...]:
    from psycopg.conninfo import conninfo_to_dict  # not at the top: a worker of the service needs it only here

    return tuple((name, str(value)) for name, value in conninfo_to_dict(url).items())


def for_psycopg(url: str) -> dict[str, str]:
    """The keywords of `psycopg.connect`."""
    return dict(_read(url))


def for_asyncpg(url: str) -> dict[str, Any]:
    """The keywords of `asyncpg.connect` and `asyncpg.create_pool`, without those of the session."""
    parameters = for_psycopg(url)
    tls = {name: value for name, value in parameters.items() if name in _TLS_PARAMETERS}
    keywords: dict[str, Any] = {
        # asyncpg takes these only in a URL. "+" would be read as a blank there: quote, not quote_plus.
        "dsn": "postgresql://" + (f"?{urlencode(tls, quote_via=quote, safe='')}" if tls else ""),
        "database": parameters.get("dbname"),
        **{name: parameters.get(name) for name in ("user", "password", "passfile", "target_session_attrs")},
    }
    if "host" in parameters:
        hosts = parameters["host"].split(",")
        ports = [int(port or 5432) for port in parameters.get("port", "").split(",")]
        keywords |= {"host": hosts, "port": ports * len(hosts) if len(ports) == 1 else ports}
    elif "port" in parameters:
        keywords["port"] = int(parameters["port"])
    return {name: value for name, value in keywords.items() if value is not None}


def session_settings(url: str) -> dict[str, str]:
    """What the URL sets for each session of the server."""
    return {name: value for name, value in for_psycopg(url).items() if name in _SESSION_PARAMETERS}
