"""What the command check says about the replicas of REPLICA_URL."""

import re
from collections.abc import Callable

import pytest

from server.commands import check_replica
from tests.commands.test_check import Look, looked_at
from tests.database.replicas import Streaming, copy
from tests.rows import Connection

__all__ = ["copy", "looked_at"]

pytestmark = pytest.mark.slow


def test_a_replica_that_is_well_is_said_with_its_lag(
    looked_at: Look, copy: Streaming, database_url: str, database: Connection
) -> None:
    copy.catch_up()
    (line,) = [each for each in looked_at(REPLICA_URL=copy.url(database_url))["ok"] if each.startswith("replica")]
    # Other tests write at the same time.
    assert re.search(r" only reads, lags by [0-9]\.\d s, has every migration$", line)


def test_a_replica_that_lags_is_said(
    looked_at: Look, copy: Streaming, database_url: str, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_replica, "CATCH_UP_SECONDS", 0.0)
    with copy.paused():
        database.execute("insert into users (username) values ('late')")
        copy.flush()
        found = looked_at(REPLICA_URL=copy.url(database_url))
    assert [each for each in found["warning"] if " only reads, lags by " in each]
    assert found["status"] == ["0"]


def test_what_is_no_replica_is_a_fault(
    looked_at: Look, copy: Streaming, database_url: str, database: Connection, make_database: Callable[[str], str]
) -> None:
    other = make_database("elsewhere")
    copy.catch_up()
    for url, text in {
        database_url: "is none any more: it can be written to",
        copy.url(other): "is that of another database",
        "postgresql://127.0.0.1:1/x": "127.0.0.1:1 cannot be used: ",
    }.items():
        found = looked_at(REPLICA_URL=url)
        assert found["status"] == ["1"]
        assert [each for each in found["FAULT"] if each.startswith("replica: ") and text in each], found["FAULT"]
