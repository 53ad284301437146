"""DATABASE_URL is read as libpq reads it; what cannot be used is named, and no fault shows a part of a password."""

from pathlib import Path

import pytest

from server.database.replica import hosts_of
from server.settings.database_url import SOCKET_FOLDERS, DatabaseUrl
from server.settings.faults import SettingsError
from server.settings.settings import HIDDEN, Settings

KEY = "k" * 32
SECRET = "hush"


def read(url: str, **environment: str) -> DatabaseUrl:
    return DatabaseUrl.read(url, environment)


def faults(url: str, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(url, **environment)
    return raised.value.faults


def test_every_fault_of_the_url_is_named_with_those_of_other_settings() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read(
            {"DATABASE_URL": "postgresql://h/d?sslmode=no&connect_timeout=x", "PORT": "x", "SIGNING_KEY": KEY}
        )
    assert [fault.partition(", which")[0] for fault in raised.value.faults] == [
        "PORT is a whole number from 0 to 65535",
        "DATABASE_URL has the parameter sslmode",
        "DATABASE_URL has the parameter connect_timeout",
    ]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_each_part_is_percent_decoded_and_a_plus_is_a_plus(scheme: str) -> None:
    url = read(f"{scheme}://u%40x+1:p%3A%2F%3F%23%25+q@h%2Dost:5433/d%2Fb+1?application_name=a+b%26c")
    assert (url.user, url.password, url.hosts, url.ports) == ("u@x+1", "p:/?#%+q", ("h-ost",), (5433,))
    assert (url.database, url.more["application_name"]) == ("d/b+1", "a+b&c")


@pytest.mark.parametrize(
    ("place", "hosts", "ports"),
    [
        ("h/d", ["h"], [5432]),
        ("%2Fvar%2Frun%2Fx/d", ["/var/run/x"], [5432]),
        ("%2Fvar%2Frun%2Fx:5433/d", ["/var/run/x"], [5433]),
        ("/d?host=/var/run/x&port=5433", ["/var/run/x"], [5433]),
        ("[::1]/d", ["::1"], [5432]),
        ("[2001:db8::1]:5433/d", ["2001:db8::1"], [5433]),
        ("a:1,[::1]:2,c/d", ["a", "::1", "c"], [1, 2, 5432]),
        ("/d?host=a,b&port=7", ["a", "b"], [7, 7]),
        ("/d", [*SOCKET_FOLDERS], [5432, 5432]),
        (":5433/d", [*SOCKET_FOLDERS], [5433, 5433]),
    ],
)
def test_hosts_are_names_addresses_and_folders_of_sockets(place: str, hosts: list[str], ports: list[int]) -> None:
    url = read(f"postgresql://{place}")
    assert ([*url.hosts], [*url.ports], url.database) == (hosts, ports, "d")
    libpq = url.for_libpq()
    assert (libpq["host"].split(","), libpq["port"].split(",")) == (hosts, [str(port) for port in ports])
    assert [(each["host"], each["port"]) for each in url.for_asyncpg()] == list(zip(hosts, ports, strict=True))


def test_of_several_hosts_one_that_can_be_written_to_is_wanted() -> None:
    for url, wanted in {
        "postgresql://a,b/d": "read-write",
        "postgresql://a,b/d?target_session_attrs=any": "any",
        "postgresql://a/d": "any",
        "postgresql://a/d?target_session_attrs=read-write": "read-write",
    }.items():
        assert read(url).for_libpq().get("target_session_attrs", "any") == wanted
        assert {each["target_session_attrs"] for each in read(url).for_asyncpg()} == {wanted}


def test_a_replica_is_in_recovery_whatever_a_variable_says_of_the_primary() -> None:
    variables = {"PGTARGETSESSIONATTRS": "read-write"}
    for url, wanted in {
        "postgresql://a,b/d": "standby",
        "postgresql://a,b/d?target_session_attrs=read-only": "read-only",
    }.items():
        assert DatabaseUrl.read(url, variables, is_replica=True).target_session_attrs == wanted
        assert [(each.hosts, each.target_session_attrs) for each in hosts_of(url)] == [
            (("a",), wanted),
            (("b",), wanted),
        ]
    with pytest.raises(SettingsError, match="target_session_attrs, which is one of standby, read-only"):
        DatabaseUrl.read("postgresql://a/d?target_session_attrs=primary", is_replica=True)


def test_the_time_for_a_host_is_the_same_for_both_libraries() -> None:
    for url, seconds in {"postgresql://a,b/d": 5, "postgresql://a,b/d?connect_timeout=7": 7}.items():
        assert read(url).for_libpq()["connect_timeout"] == str(seconds)
        assert [each["timeout"] for each in read(url).for_asyncpg()] == [seconds] * 2


def test_what_is_missing_comes_from_the_variables_of_libpq_and_then_from_its_defaults() -> None:
    variables = {"PGHOST": "h", "PGPORT": "7", "PGUSER": "u", "PGPASSWORD": SECRET, "PGDATABASE": "d", "PGAPPNAME": "a"}
    url = read("postgresql://", **variables, PGSSLMODE="require")
    assert (url.hosts, url.ports, url.user, url.password, url.database) == (("h",), (7,), "u", SECRET, "d")
    assert (url.more["application_name"], url.more["sslmode"]) == ("a", "require")
    assert read("postgresql://v@i/e", **variables).for_libpq() | {"client_encoding": ""} == {
        **{"host": "i", "port": "7", "user": "v", "password": SECRET, "dbname": "e", "application_name": "a"},
        **{"connect_timeout": "5", "client_encoding": ""},
    }
    assert read("postgresql://u@h").database == "u"
    assert read("postgresql://h", LOGNAME="other").user == Path.home().owner()


def test_a_newline_at_the_end_does_not_count_and_one_inside_is_a_fault() -> None:
    settings = Settings.read({"DATABASE_URL": "postgresql://u@h/d\n", "SIGNING_KEY": KEY})
    assert settings.database_url == "postgresql://u@h/d"
    for sign in ("\n", "\r", "\t", "\x7f"):
        assert faults(f"postgresql://u:{SECRET}{sign}@h/d") == ["is one line without control characters"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://h/d", ["begins with postgresql://"]),
        ("host=h dbname=d", ["begins with postgresql://"]),
        (
            "postgresql://h/d?schema=a&pgbouncer=true&sslmode=no",
            [f"has a parameter that PostgreSQL does not know: {name}" for name in ("pgbouncer", "schema")],
        ),
        ("postgresql://h/d?%20=1", ["has a parameter that PostgreSQL does not know: without a name"]),
        (
            "postgresql://h/d?hostaddr=1.1.1.1&channel_binding=require&keepalives=1&gssencmode=disable",
            [
                "has the parameter channel_binding, which is not supported with this value",
                "has the parameter hostaddr, which is not supported with this value",
            ],
        ),
        (
            "postgresql://h:0/d?sslmode=no&connect_timeout=0&target_session_attrs=standby&sslcert=/nowhere&sslkey=/tmp",
            [
                "has a port that is no number from 1 to 65535",
                "has the parameter sslmode, which is one of disable, allow, prefer, require, verify-ca, verify-full",
                "has the parameter target_session_attrs, which is one of any, read-write, primary",
                "has the parameter connect_timeout, which is a whole number of seconds from 1 to 9999",
                "has the parameter sslcert, whose file cannot be read",
                "has the parameter sslkey, whose file is a folder",
            ],
        ),
        ("postgresql://a,b,c/d?port=1,2", ["has not one port for each host"]),
        ("postgresql://%40abstract/d", ["has an abstract socket as host, which is not supported"]),
        (
            "postgresql://h/d?sslrootcert=system",
            ["has sslrootcert=system, which is not supported: name the file of the certificates"],
        ),
        (
            "postgresql://h/d?sslnegotiation=direct",
            ["has sslnegotiation=direct, which needs sslmode=require or a stricter one"],
        ),
        ("postgresql://[::1/d", ["has an IPv6 address that is not of the form [ADDRESS]"]),
        (
            "postgresql://[::1]x/d",
            ["is not a URL that libpq can read: percent-encode signs such as @ : / ? # % in its parts"],
        ),
    ],
)
def test_what_cannot_be_used_is_named(url: str, expected: list[str]) -> None:
    assert sorted(faults(url)) == sorted(expected)


def test_a_variable_of_libpq_that_only_one_library_would_follow_is_a_fault() -> None:
    for variable in ("PGHOSTADDR", "PGSERVICE", "PGREQUIREAUTH", "PGCHANNELBINDING"):
        (fault,) = faults("postgresql://h/d", **{variable: "require"})
        assert fault.startswith(f"cannot be used with {variable}: ")
    read("postgresql://h/d", PGCHANNELBINDING="prefer", PGCLIENTENCODING="LATIN1", PGTZ="Europe/Lisbon")


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        (f"{SECRET}%", "has a % that is not part of a percent-encoding: write it as %25"),
        (f"%zz{SECRET}", "has a % that is not part of a percent-encoding: write it as %25"),
        (f"{SECRET}%00", "has %00 in it"),
        (f"%ff{SECRET}", "is percent-encoded UTF-8"),
        (f"\udcff{SECRET}", "is percent-encoded UTF-8"),
        (f"a {SECRET}", "has a blank in it: write it as %20"),
        (f"a/{SECRET}", "has an @ after the first /: write / as %2F in a user or a password"),
        (f"a/b?{SECRET}=c&d", "has an @ after the first /: write / as %2F in a user or a password"),
        (f"1/{SECRET}", "has an @ after the first /: write / as %2F in a user or a password"),
        (f"a@{SECRET}", "has two @: write @ as %40 in a user or a password"),
    ],
)
def test_no_fault_shows_a_part_of_a_password(password: str, expected: str) -> None:
    (found,) = faults(f"postgresql://u:{password}@h/d")
    assert SECRET not in found
    assert found == expected


def test_the_password_is_in_no_text_of_the_settings() -> None:
    url = read(f"postgresql://u:{SECRET}@h/d?sslpassword={SECRET}")
    settings = Settings(database_url=f"postgresql://u:{SECRET}@h/d")
    for text in (repr(url), str(url), repr(settings), str(settings.shown())):
        assert SECRET not in text
    assert settings.shown()["DATABASE_URL"] == HIDDEN
    assert url.for_libpq()["password"] == SECRET
