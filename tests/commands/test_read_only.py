"""While the database only reads, commands that only show something work, and the others say one sentence."""

from collections.abc import Callable

import psycopg
import pytest
import requests
from psycopg import sql

from server.database import migrate
from server.settings.database_url import DatabaseUrl
from tests.commands.conftest import Run
from tests.conftest import KEY
from tests.processes import Started, eventually

pytestmark = pytest.mark.slow


class Switch:
    """Has a database only read, or write again."""

    def __init__(self, url: str) -> None:
        self._url = url

    def only_reads(self, on: bool) -> None:
        """Every session that is opened from now on, and the idle ones are ended."""
        name = DatabaseUrl.read(self._url).database
        command = "alter database {} set default_transaction_read_only = {}"
        with psycopg.connect(self._url.replace("//frontdesk@", "//postgres@"), autocommit=True) as superuser:
            superuser.execute("set default_transaction_read_only = off")
            superuser.execute(sql.SQL(command).format(sql.Identifier(name), sql.SQL("on" if on else "off")))


@pytest.fixture
def empty(make_database: Callable[[str], str]) -> str:
    return make_database("read_only")


@pytest.fixture
def url(empty: str) -> str:
    """A database with one account that only reads."""
    migrate.migrate(empty)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("insert into users (username, email) values ('anna', 'anna@example.com')")
    Switch(empty).only_reads(True)
    return empty


@pytest.mark.parametrize("command", [("users",), ("user", "anna"), ("letters",), ("migrate",)])
def test_a_command_that_only_shows_something_works(run: Run, url: str, command: tuple[str, ...]) -> None:
    status, said, told = run(*command, DATABASE_URL=url)
    assert (status, told) == (0, "")
    assert said


@pytest.mark.parametrize("command", [("export", "anna"), ("deactivate", "anna"), ("unlock", "anna")])
def test_a_command_that_stores_something_says_one_sentence(run: Run, url: str, command: tuple[str, ...]) -> None:
    assert run(*command, DATABASE_URL=url) == (
        *(1, ""),
        "The database only reads at the moment, and this command stores something there: try again when it can be"
        " written to.\n",
    )


@pytest.mark.parametrize("setting", [{"UNIQUE_EMAIL": "false"}, {"LOGIN_FIELD": "either"}])
def test_what_has_to_be_changed_in_the_schema_is_told(run: Run, url: str, setting: dict[str, str]) -> None:
    status, said, told = run("users", DATABASE_URL=url, **setting)
    assert (status, said) == (1, "")
    assert told.startswith("The schema is not up to date, and the database only reads:")


def test_an_empty_database_that_only_reads_is_told(run: Run, empty: str) -> None:
    Switch(empty).only_reads(True)
    assert run("users", DATABASE_URL=empty)[2].startswith("The schema is not up to date, and the database only reads:")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_starts_is_not_ready_and_heals_by_itself(url: str, workers: str) -> None:
    service = Started(DATABASE_URL=url, SIGNING_KEY=KEY, WORKERS=workers)
    try:
        assert requests.get(f"{service.url}/readyz", timeout=10).status_code == 503
        Switch(url).only_reads(False)
        assert eventually(lambda: requests.get(f"{service.url}/readyz", timeout=10).status_code == 200)
    finally:
        service.stop()
