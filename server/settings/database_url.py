"""DATABASE_URL, read once as libpq reads it, and what asyncpg and libpq get of it (docs/decisions/database-url.md).

libpq's own parser takes the URL apart (PostgreSQL documentation, 34.1.1.2). No text of a fault has a part of the URL in
it except the names of parameters, because any other part may be of the password.
"""

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from server.settings.faults import SettingFaults

APPLICATION_NAME = "frontdesk"
CONNECT_SECONDS = 5  # longest wait for one host, unless connect_timeout says otherwise
DEFAULT_PORT = 5432
SOCKET_FOLDERS = ("/var/run/postgresql", "/tmp")  # noqa: S108  where Debian's server and PostgreSQL's own listen

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TLS = ("sslmode", "sslnegotiation", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version", *_FILES)
_PLACE = ("host", "port", "user", "password", "dbname")
_OTHERS = ("application_name", "connect_timeout", "options", "passfile", "target_session_attrs")
SUPPORTED = (*_PLACE, *_OTHERS, *_TLS)

# Values of other parameters that say what both libraries do anyway.
_HARMLESS = {
    "channel_binding": {"prefer", "disable"},
    "client_encoding": None,  # any: both always use UTF-8
    "fallback_application_name": None,  # any: ours is set
    "gssencmode": {"prefer", "disable"},
    "keepalives": {"1"},
    "load_balance_hosts": {"disable"},
    "sslcompression": {"0"},
    "sslsni": {"1"},
}
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
_PRIMARIES = ("any", "read-write", "primary")  # of target_session_attrs: the service writes, a standby is of no use
_REPLICAS = ("standby", "read-only")
_AT_SIGN = "has an @ after the first /: write / as %2F in a user or a password"


def database_url(text: str) -> str:
    """The URL of a PostgreSQL database, checked. Raises SettingsError with every fault."""
    DatabaseUrl.read(text)
    return text


def replica_url(text: str) -> str:
    """The URL of one or several replicas of that database, checked. Raises SettingsError with every fault."""
    DatabaseUrl.read(text, is_replica=True)
    return text


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """Where the database is and how to sign in there.

    `hosts` are names, addresses or folders of a socket, tried in this order; `ports` has one for each. `more` are the
    other parameters by their names in libpq.
    """

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    user: str
    password: str | None = field(repr=False)
    database: str
    more: Mapping[str, str] = field(repr=False)  # sslpassword is one

    @classmethod
    def read(cls, text: str, environment: Mapping[str, str] = os.environ, *, is_replica: bool = False) -> Self:
        """The value of a URL. libpq's variables in `environment` (PGUSER …) give what the URL does not say.

        `is_replica`: only a server in recovery will do. Raises SettingsError with every fault.
        """
        faults = SettingFaults()
        given = _parameters(text, faults)
        faults.check()
        for name, variable in _variables():
            if is_replica and name == "target_session_attrs":
                continue  # the variable speaks of the primary
            if name not in given and (value := environment.get(variable, "")):
                if name in SUPPORTED:
                    given[name] = value
                elif not _is_harmless(name, value):
                    faults.add(f"cannot be used with {variable}: the parameter {name} is not supported")
        hosts, ports = _addresses(given, faults)
        user = given.get("user") or _system_user(faults)
        more = {name: value for name, value in given.items() if name in (*_OTHERS, *_TLS) and value}
        _check_values(more, faults, _REPLICAS if is_replica else _PRIMARIES)
        faults.check()
        if is_replica:
            more.setdefault("target_session_attrs", "standby")
        elif len(hosts) > 1 and "host" in given:
            more.setdefault("target_session_attrs", "read-write")
        database = given.get("dbname") or user
        return cls(hosts=hosts, ports=ports, user=user, password=given.get("password"), database=database, more=more)

    @property
    def connect_seconds(self) -> int:
        """Longest wait for one host."""
        return int(self.more.get("connect_timeout", CONNECT_SECONDS))

    @property
    def target_session_attrs(self) -> str:
        """Which servers will do: any, or only one that can be written to."""
        return self.more.get("target_session_attrs", "any")

    def for_libpq(self) -> dict[str, Any]:
        """The parameters of libpq, by name: for psycopg.connect, and for yoyo."""
        parameters = {
            "host": ",".join(self.hosts),
            "port": ",".join(map(str, self.ports)),
            "user": self.user,
            "dbname": self.database,
            "application_name": APPLICATION_NAME,
            "connect_timeout": str(CONNECT_SECONDS),
            "client_encoding": "utf8",
            **self.more,
        }
        return parameters if self.password is None else parameters | {"password": self.password}

    def for_asyncpg(self) -> list[dict[str, Any]]:
        """The arguments of asyncpg.connect, for each host; what is a session setting is in `server_settings`."""
        # asyncpg takes parameters of TLS from a URL alone.
        tls = urlencode({name: self.more[name] for name in _TLS if name in self.more})
        settings = {"application_name": self.more.get("application_name", APPLICATION_NAME)}
        if options := self.more.get("options"):
            settings["options"] = options
        common = {
            "dsn": f"postgresql:///?{tls}" if tls else None,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "passfile": self.more.get("passfile"),
            "target_session_attrs": self.target_session_attrs,
            "timeout": self.connect_seconds,
            "server_settings": settings,
        }
        return [common | {"host": host, "port": port} for host, port in zip(self.hosts, self.ports, strict=True)]


def _parameters(text: str, faults: SettingFaults) -> dict[str, str]:
    """The parameters that the URL has, by libpq's names; only supported ones, others are faults."""
    if not re.match(r"postgres(ql)?://", text):
        faults.add("begins with postgresql://")
        return {}
    if re.search(r"[\x00-\x1f\x7f]", text):
        faults.add("is one line without control characters")
        return {}
    # The query begins at the first ? after the user and the password, which end at the first @ before any /.
    query = re.sub(r"^\w+://([^@/]*@)?[^?]*\??", "", text)
    names = [each.partition("=")[0] for each in query.split("&") if each]
    libpq_knows = {"ssl", "requiressl", *(each.keyword.decode() for each in Conninfo.get_defaults())}
    unknown = sorted({name for name in names if name not in libpq_knows})
    # libpq takes what follows that / for the name of the database, which error texts show, or for parameters.
    if re.match(r"\w+://[^@/]*/.*@" if unknown else r"\w+://[^@/]*/[^?]*@", text):
        faults.add(_AT_SIGN)
        return {}
    for name in unknown:
        shown = name if re.fullmatch(r"\w{1,40}", name, re.ASCII) else "without a name"
        faults.add(f"has a parameter that PostgreSQL does not know: {shown}")
    if unknown:
        return {}
    try:
        read = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except UnicodeError:
        faults.add("is percent-encoded UTF-8")
        return {}
    except psycopg.ProgrammingError as failure:
        faults.add(_explained(str(failure)))
        return {}
    for name, value in read.items():
        if name not in SUPPORTED and not _is_harmless(name, value):
            faults.add(f"has the parameter {name}, which is not supported with this value")
    return {name: value for name, value in read.items() if name in SUPPORTED}


def _explained(failure: str) -> str:
    """A text for libpq's, which repeats parts of the URL."""
    for words, explanation in {
        "percent-encoded token": "has a % that is not part of a percent-encoding: write it as %25",
        "forbidden value %00": "has %00 in it",
        "unexpected spaces": "has a blank in it: write it as %20",
        "key/value separator": "has a parameter that is not of the form NAME=VALUE: write = in a value as %3D",
        "IPv6": "has an IPv6 address that is not of the form [ADDRESS]",
    }.items():
        if words in failure:
            return explanation
    return "is not a URL that libpq can read: percent-encode signs such as @ : / ? # % in its parts"


def _is_harmless(name: str, value: str) -> bool:
    values = _HARMLESS.get(name, set())
    return values is None or value.lower() in values


def _variables() -> Iterator[tuple[str, str]]:
    """Each parameter of libpq that a variable of the environment can give, and the name of the variable."""
    for each in Conninfo.get_defaults():
        if each.envvar:
            yield each.keyword.decode(), each.envvar.decode()


def _addresses(given: Mapping[str, str], faults: SettingFaults) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The hosts, and the port of each. One port is that of every host; an empty one is 5432."""
    hosts: list[str] = []
    ports: list[str] = []
    named = given.get("host", "").split(",")
    numbers = given.get("port", "").split(",")
    if len(numbers) not in (1, len(named)):
        faults.add("has not one port for each host")
        return (), ()
    for host, number in zip(named, numbers * len(named) if len(numbers) == 1 else numbers, strict=True):
        places = [host] if host else SOCKET_FOLDERS
        hosts += places
        ports += [number or str(DEFAULT_PORT)] * len(places)
    if any(host.startswith("@") for host in hosts):
        faults.add("has an abstract socket as host, which is not supported")
    elif any("@" in host for host in hosts):
        faults.add("has two @: write @ as %40 in a user or a password")
    elif not all(re.fullmatch("[0-9]{1,5}", each) and 1 <= int(each) <= 65535 for each in ports):
        faults.add("has a port that is no number from 1 to 65535")
        return (), ()
    return tuple(hosts), tuple(map(int, ports))


def _system_user(faults: SettingFaults) -> str:
    """The name of this process's user, which is libpq's default; getpass would prefer the variable LOGNAME."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        faults.add("has no user, and the user of this process has no name")
        return ""


def _check_values(more: Mapping[str, str], faults: SettingFaults, servers: tuple[str, ...]) -> None:
    for name, words in {**_CHOICES, "target_session_attrs": servers}.items():
        if name in more and more[name] not in words:
            faults.add(f"has the parameter {name}, which is one of {', '.join(words)}")
    if not re.fullmatch("[1-9][0-9]{0,3}", more.get("connect_timeout", "1")):
        faults.add("has the parameter connect_timeout, which is a whole number of seconds from 1 to 9999")
    if more.get("sslnegotiation") == "direct" and more.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        faults.add("has sslnegotiation=direct, which needs sslmode=require or a stricter one")
    for name in _FILES:
        if name == "sslrootcert" and more.get(name) == "system":
            faults.add("has sslrootcert=system, which is not supported: name the file of the certificates")
        elif name in more and not os.access(more[name], os.R_OK):
            faults.add(f"has the parameter {name}, whose file cannot be read")
        elif name in more and Path(more[name]).is_dir():
            faults.add(f"has the parameter {name}, whose file is a folder")
