"""A real replica beside the primary: which reads go to it, and that nothing that happens to it harms a caller."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from server.database import replica as module
from server.database.database import ACQUIRE_SECONDS, Database
from server.database.replica import LONGEST_PAUSE_SECONDS, MAX_LAG_SECONDS, OWN_CHANGES_SECONDS, Replica, hosts_of
from server.errors import Unavailable
from server.resources import statements
from server.settings.settings import Settings
from server.telemetry import metrics
from server.web.app_keys import REPLICA
from tests.conftest import Client, MakePerson, Person
from tests.database.conftest import Connect
from tests.database.poolers import pgbouncer
from tests.database.replicas import Streaming
from tests.rows import Connection

pytestmark = pytest.mark.slow

NOWHERE = "postgresql://frontdesk@127.0.0.1:1/test"
WHERE: Callable[[Database], Awaitable[Any]] = lambda db: db.row("replica/state")  # noqa: E731

MakeReplica: TypeAlias = Callable[..., Replica]


@pytest.fixture(autouse=True)
def _looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service look at the replica only when a test says so."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)


@pytest.fixture
async def make_replica(connect: Connect) -> AsyncIterator[MakeReplica]:
    """Makes the reads that may lag of a process, on these URLs."""
    made: list[Replica] = []
    primary = await connect()

    def make(*urls: str, pooler: str = "auto") -> Replica:
        hosts = [host for url in urls for host in hosts_of(url)]
        made.append(Replica(primary, hosts, connections=4, pooler=pooler))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def on_replica(replica: Replica) -> bool:
    """Whether a read that may lag is answered by a server in recovery."""
    row = await replica.read(WHERE)
    return bool(row["is_replica"])


async def until_usable(replica: Replica) -> None:
    """Look until the replica is used. Other tests write at the same time: the first look may find it behind them."""
    async with asyncio.timeout(20):
        await replica.look()
        while not replica.is_usable:
            await asyncio.sleep(0.01)
            await replica.look()


async def without_writes(monkeypatch: pytest.MonkeyPatch, replica: Replica, copy: Streaming) -> None:
    """From now on the replica is told of no writes: other tests make some in the same server."""
    state = await replica._primary.row("replica/state")
    assert state is not None

    async def unchanged(self: Replica) -> Any:
        self._positions.append((self._now(), state["position"]))
        return state

    await asyncio.to_thread(copy.catch_up)
    monkeypatch.setattr(Replica, "_position_of_primary", unchanged)


def clock(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """Let the time be `ahead` seconds later than it is."""
    monkeypatch.setattr(Replica, "_now", staticmethod(lambda: asyncio.get_running_loop().time() + ahead))


async def test_a_read_that_may_lag_goes_to_the_replica(
    make_replica: MakeReplica, copy: Streaming, database_url: str
) -> None:
    replica = make_replica(copy.url(database_url))
    assert not await on_replica(replica)  # nothing is known yet
    await until_usable(replica)
    assert await on_replica(replica)


@pytest.mark.parametrize("hosts", ["postgresql://frontdesk@127.0.0.1:1/test", "primary"])
async def test_a_host_that_is_of_no_use_is_passed_over(
    make_replica: MakeReplica, copy: Streaming, database_url: str, hosts: str
) -> None:
    replica = make_replica(database_url if hosts == "primary" else hosts, copy.url(database_url))
    await until_usable(replica)
    assert await on_replica(replica)


async def test_a_replica_behind_a_pooler_is_used(
    make_replica: MakeReplica, copy: Streaming, database_url: str, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path, copy.url(database_url), pool_mode="transaction") as url:
        replica = make_replica(url)
        await until_usable(replica)
        assert await on_replica(replica)
        assert await replica.read(lambda db: db.find("profiles/find", 0)) is None
        await replica.close()


async def test_a_primary_in_place_of_a_replica_is_said_to_be_none(
    make_replica: MakeReplica, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_replica(database_url).look()
    assert "cannot be used: it is no replica: it can be written to" in caplog.text


async def test_a_replica_of_another_database_is_not_used(
    make_replica: MakeReplica, copy: Streaming, make_database: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    replica = make_replica(copy.url(make_database("other")))
    copy.catch_up()
    await replica.look()
    assert not replica.is_usable
    assert "the replica is that of another database" in caplog.text


async def test_a_replica_of_an_idle_primary_does_not_lag(
    make_replica: MakeReplica, copy: Streaming, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    await without_writes(monkeypatch, replica, copy)
    with copy.paused():
        await replica.look()
        clock(monkeypatch, 10 * MAX_LAG_SECONDS)
        await replica.look()
        assert await on_replica(replica)


async def test_a_replica_that_lags_is_not_used_until_it_has_caught_up(
    make_replica: MakeReplica,
    copy: Streaming,
    database_url: str,
    database: Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    with copy.paused():
        database.execute("insert into users (username) values ('late')")
        copy.flush()
        clock(monkeypatch, MAX_LAG_SECONDS / 2)
        await replica.look()
        assert await on_replica(replica)  # it may be that old
        clock(monkeypatch, MAX_LAG_SECONDS + 1)
        assert not await on_replica(replica)  # without another look
        await replica.look()
        await replica.look()
    clock(monkeypatch, MAX_LAG_SECONDS + 3)
    await until_usable(replica)
    assert await on_replica(replica)
    assert [record.getMessage() for record in caplog.records if record.name == module.__name__] == [
        "the replica is used for reads that may lag",
        "reads that may lag go to the primary: the replica lags by more than 10 s",
        "the replica is used for reads that may lag",
    ]


async def test_a_replica_that_is_silent_delays_a_read_for_a_short_time_once(
    make_replica: MakeReplica,
    copy: Streaming,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    assert await on_replica(replica)
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)
    with copy.frozen():
        async with asyncio.timeout(ACQUIRE_SECONDS / 2):
            assert await asyncio.gather(*(on_replica(replica) for _ in range(20))) == [False] * 20
            assert not replica.is_usable
            assert not await on_replica(replica)
    assert len(caplog.records) == 1
    monkeypatch.undo()
    await replica.look()
    assert not replica.is_usable  # the pause is not over
    clock(monkeypatch, module.FIRST_PAUSE_SECONDS)
    await until_usable(replica)
    assert await on_replica(replica)


async def test_a_replica_that_is_lost_is_tried_again_after_a_pause_that_grows(
    make_replica: MakeReplica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[float] = []
    now = 1000.0

    async def refuse(*arguments: Any, **options: Any) -> Database:
        tries.append(now)
        raise Unavailable from ConnectionRefusedError("refused")

    monkeypatch.setattr(Replica, "_now", staticmethod(lambda: now))
    monkeypatch.setattr(Database, "open", refuse)
    replica = make_replica(NOWHERE)
    for _ in range(300):
        await replica.look()
        now += 1.0
    assert [later - earlier for earlier, later in itertools.pairwise(tries)] == [
        *(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "reads that may lag go to the primary: the replica cannot be used: refused"
    ]


@pytest.mark.parametrize("harm", ["terminate", "conflict"])
async def test_a_read_that_the_replica_ends_is_answered_by_the_primary(
    make_replica: MakeReplica, copy: Streaming, database_url: str, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    monkeypatch.setitem(statements(), "tests/harm", FAILS_ON_A_REPLICA[harm])
    row = await replica.read(lambda db: db.row("tests/harm"))
    assert row is not None
    assert row["is_replica"] is False
    assert replica.is_usable is (harm == "conflict")


FAILS_ON_A_REPLICA = {
    "terminate": (
        "select pg_is_in_recovery() as is_replica"
        " where not pg_is_in_recovery() or pg_terminate_backend(pg_backend_pid())"
    ),
    "conflict": "select pg_is_in_recovery() as is_replica, 1 / (1 - pg_is_in_recovery()::int) as fails",
}


async def test_the_pause_is_short_again_when_the_replica_was_in_use_for_a_while(
    make_replica: MakeReplica, copy: Streaming, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statements(), "tests/harm", FAILS_ON_A_REPLICA["terminate"])
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    await without_writes(monkeypatch, replica, copy)
    ahead = 0.0
    for in_use, pause in ((0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (LONGEST_PAUSE_SECONDS + 1, 1.0)):
        ahead += in_use
        clock(monkeypatch, ahead)
        await replica.look()
        await replica.read(lambda db: db.row("tests/harm"))
        for later, is_usable in ((pause - 0.5, False), (pause + 0.5, True)):
            clock(monkeypatch, ahead + later)
            await replica.look()
            assert replica.is_usable is is_usable
        ahead += pause + 0.5


async def test_after_a_loss_the_next_host_is_tried(
    make_replica: MakeReplica, copy: Streaming, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statements(), "tests/harm", FAILS_ON_A_REPLICA["terminate"])
    monkeypatch.setitem(statements(), "tests/host", "select current_setting('application_name') as host")
    replica = make_replica(*(f"{copy.url(database_url)}&application_name={host}" for host in "ab"))
    await without_writes(monkeypatch, replica, copy)
    hosts = []
    for ahead in (0.0, 10.0):
        clock(monkeypatch, ahead)
        await replica.look()
        row = await replica.read(lambda db: db.row("tests/host"))
        hosts.append(row and row["host"])
        await replica.read(lambda db: db.row("tests/harm"))
    assert hosts == ["a", "b"]


async def test_a_primary_that_does_not_respond_says_nothing_of_the_replica(
    make_replica: MakeReplica,
    copy: Streaming,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    with monkeypatch.context() as failing:
        failing.setitem(statements(), "replica/state", "select 1 / pg_is_in_recovery()::int")
        clock(monkeypatch, 2 * MAX_LAG_SECONDS)
        await replica.look()
        assert not replica.is_usable
    await until_usable(replica)
    assert await on_replica(replica)
    assert caplog.records == []


async def test_a_server_that_was_promoted_is_not_used(
    make_replica: MakeReplica,
    copy: Streaming,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replica = make_replica(copy.url(database_url))
    await until_usable(replica)
    monkeypatch.setitem(
        statements(), "replica/state", statements()["replica/state"].replace("pg_is_in_recovery() as", "false as")
    )
    await replica.look()
    assert not replica.is_usable
    assert "it can be written to" in caplog.text


@pytest.fixture
def settings(settings: Settings, copy: Streaming, database_url: str, request: pytest.FixtureRequest) -> Settings:
    return replace(settings, replica_url=copy.url(database_url))


@contextlib.asynccontextmanager
async def lagging(client: Client, copy: Streaming, database: Connection) -> AsyncIterator[None]:
    """In the block the service uses the replica, which has what was there before, and nothing of what changes now."""
    database.execute("update events set happened_at = now() - interval '1 hour'")
    database.execute("alter table profiles disable trigger user")
    database.execute("update profiles set updated_on = now() - interval '1 hour'")
    database.execute("alter table profiles enable trigger user")
    await asyncio.to_thread(copy.catch_up)
    await until_usable(client.app[REPLICA])
    with copy.paused():
        yield


async def test_lists_and_the_profiles_of_others_may_lag(
    client: Client, copy: Streaming, database: Connection, anna: Person, boris: Person, staff: Person, counted: None
) -> None:
    profile = (await anna.profile())["id"]
    async with lagging(client, copy, database):
        database.execute("update profiles set location = 'Rome' where id = %s", [profile])
        database.execute("update users set username = 'anne' where id = %s", [anna.id])
        assert (await boris.get(f"/api/accounts/profile/{profile}"))[1]["location"] == ""
        for path in ("/api/accounts/all-profiles", "/api/accounts/all-profiles?search=ann"):
            assert (await boris.get(path))[1][0]["user"] == "anna", path
        for path in ("/auth/users/", "/auth/users/?search=anna"):
            assert (await staff.get(path))[1][0]["username"] == "anna", path
    assert (metrics.LAGGING_READS.value("replica"), metrics.LAGGING_READS.value("primary")) == (5, 1)


async def test_a_person_sees_her_own_changes_at_once(
    client: Client, copy: Streaming, database: Connection, anna: Person, boris: Person
) -> None:
    profile = (await anna.profile())["id"]
    async with lagging(client, copy, database):
        await anna.patch(f"/api/accounts/profile/{profile}", {"location": "Rome"})
        assert (await anna.get(f"/api/accounts/profile/{profile}"))[1]["location"] == "Rome"
        for path in ("/api/accounts/all-profiles", "/api/accounts/all-profiles?search=anna"):
            assert (await anna.get(path))[1][0]["location"] == "Rome", path
            assert (await boris.get(path))[1][0]["location"] == "", path
        await anna.delete(f"/api/accounts/profile/{profile}")
        assert (await anna.get(f"/api/accounts/profile/{profile}"))[0] == 404
        assert [each["user"] for each in (await anna.get("/api/accounts/all-profiles"))[1]] == ["boris"]
        _, made = await anna.post("/api/accounts/all-profiles", {"location": "Bari"})
        assert (await anna.get(f"/api/accounts/profile/{made['id']}"))[1]["location"] == "Bari"


async def test_staff_see_at_once_what_they_changed_of_others(
    client: Client, copy: Streaming, database: Connection, anna: Person, staff: Person
) -> None:
    profile = (await anna.profile())["id"]
    async with lagging(client, copy, database):
        assert (await staff.patch(f"/auth/users/{anna.id}/", {"is_active": False}))[0] == 200
        assert [each["username"] for each in (await staff.get("/auth/users/?is_active=false"))[1]] == ["anna"]
        database.execute("update users set username = 'anne' where id = %s", [anna.id])
        assert (await staff.get(f"/api/accounts/profile/{profile}"))[1]["user"] == "anne"


async def test_who_the_caller_is_never_lags(
    client: Client, copy: Streaming, database: Connection, anna: Person, boris: Person, make_person: MakePerson
) -> None:
    async with lagging(client, copy, database):
        later = await make_person("clara")
        assert (await later.get("/auth/users/me/"))[1]["username"] == "clara"
        database.execute("update users set is_active = false where id = %s", [anna.id])
        assert (await anna.get("/api/accounts/all-profiles"))[0] == 401
        database.execute("delete from sessions where user_id = %s", [boris.id])
        assert (await boris.get("/api/accounts/all-profiles"))[0] == 401


async def test_a_write_is_decided_by_the_primary(
    client: Client, copy: Streaming, database: Connection, anna: Person, boris: Person
) -> None:
    profile = (await anna.profile())["id"]
    async with lagging(client, copy, database):
        database.execute("delete from profiles where user_id = %s", [boris.id])
        database.execute("update profiles set user_id = %s where id = %s", [boris.id, profile])
        assert (await anna.patch(f"/api/accounts/profile/{profile}", {"location": "Rome"}))[0] == 403
        assert (await boris.patch(f"/api/accounts/profile/{profile}", {"location": "Rome"}))[0] == 200


async def test_the_service_is_ready_without_its_replica(client: Client, copy: Streaming, anna: Person) -> None:
    await client.app[REPLICA].look()
    with copy.frozen():
        async with client.get("/readyz") as response:
            assert response.status == 200


async def test_a_change_is_old_after_a_while(
    connect: Connect, database: Connection, anna: Person, boris: Person, staff: Person
) -> None:
    db = await connect()

    async def changed(person: Person, seconds: float = OWN_CHANGES_SECONDS) -> bool:
        row = await db.find("changes/lately", person.id, seconds)
        return bool(row and row["has_changed"])

    database.execute("update events set happened_at = now() - interval '20 seconds'")
    database.execute("alter table profiles disable trigger user")
    database.execute("update profiles set updated_on = now() - interval '20 seconds'")
    database.execute("alter table profiles enable trigger user")
    assert [await changed(person) for person in (anna, boris, staff)] == [True] * 3
    assert [await changed(person, 10) for person in (anna, boris, staff)] == [False] * 3
    database.execute("insert into events (kind, user_id, actor_id) values ('deactivated', %s, %s)", [anna.id, staff.id])
    assert [await changed(person, 10) for person in (anna, boris, staff)] == [True, False, True]
