"""A lane is kept while it is sound, and never used again once it may not be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from server.database import batch_connections as module
from server.database.batch_connections import BATCH_SESSION, BatchConnections
from server.settings.values import for_asyncpg

WHO = "select pg_backend_pid() as pid"


@pytest.fixture
async def lanes(database_url: str, database: Any) -> AsyncIterator[BatchConnections]:
    made = BatchConnections(
        lambda: asyncpg.connect(for_asyncpg(database_url), server_settings=BATCH_SESSION, command_timeout=10), 2
    )
    yield made
    await made.close()


async def who(lanes: BatchConnections) -> int:
    """The server process at the other end of the lane that is next."""
    return int((await lanes.rows(WHO, []))[0]["pid"])


async def test_one_set_after_another_travels_on_the_same_lane(lanes: BatchConnections) -> None:
    assert len({await who(lanes) for _ in range(5)}) == 1


async def test_a_statement_has_one_plan_whatever_its_keys(lanes: BatchConnections) -> None:
    for keys in ([1], [1, 2], list(range(100))):
        await lanes.rows("select id from users where id = any($1::bigint[])", [keys])
    (plans,) = await lanes.rows(
        "select generic_plans, custom_plans from pg_prepared_statements where statement like 'select id from users%'",
        [],
    )
    assert (plans["generic_plans"], plans["custom_plans"]) == (3, 0)


async def test_a_row_that_is_refused_costs_no_lane(lanes: BatchConnections) -> None:
    before = await who(lanes)
    with pytest.raises(asyncpg.NotNullViolationError):
        await lanes.rows("insert into users (username) values ($1)", [None])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await lanes.rows("select 1 / $1::int", [0])
    assert await who(lanes) == before


@pytest.mark.parametrize("statement", ["select nothing", "select pg_terminate_backend(pg_backend_pid())"])
async def test_whatever_else_goes_wrong_no_lane_is_used_again(lanes: BatchConnections, statement: str) -> None:
    await asyncio.gather(who(lanes), who(lanes))
    before = [*lanes._made]
    with pytest.raises((asyncpg.PostgresError, asyncpg.ConnectionDoesNotExistError)):
        await lanes.rows(statement, [])
    assert [lane.is_closed() for lane in before] == [True, True]
    assert await who(lanes)
    assert len(lanes._made) == 1


async def test_after_one_failed_change_none_goes_to_a_server_that_only_reads(lanes: BatchConnections) -> None:
    await asyncio.gather(who(lanes), who(lanes))
    for lane in lanes._made:
        await lane.execute("set default_transaction_read_only = on")
    change = "insert into users (username) values ($1) returning id"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await lanes.rows(change, ["anna"])
    assert await lanes.rows(change, ["anna"])


async def test_a_lane_is_renewed_after_a_while(lanes: BatchConnections, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await who(lanes)
    (lane,) = lanes._made
    monkeypatch.setattr(module, "LIFE_SECONDS", 0.0)
    assert await who(lanes) != before
    assert lane.is_closed()
    assert len(lanes._made) == 1


async def test_a_set_that_is_given_up_takes_its_lane_along(lanes: BatchConnections) -> None:
    await who(lanes)
    (lane,) = lanes._made
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await lanes.rows("select pg_sleep(10)", [])
    assert lane.is_closed()
    assert lanes._made == {}


async def test_a_lane_that_the_server_closed_at_rest_is_replaced(lanes: BatchConnections, database: Any) -> None:
    before = await who(lanes)
    database.execute("select pg_terminate_backend(%s, 5000)", [before])
    (lane,) = lanes._made
    async with asyncio.timeout(5):
        while not lane.is_closed():
            await asyncio.sleep(0)
    assert await who(lanes) != before
    assert len(lanes._made) == 1


async def test_lanes_are_bounded(lanes: BatchConnections) -> None:
    asked = [asyncio.ensure_future(who(lanes)) for _ in range(2)]
    assert not lanes.are_all_in_use
    await asyncio.sleep(0)
    assert lanes.are_all_in_use
    assert len(set(await asyncio.gather(*asked))) == 2
    assert not lanes.are_all_in_use


async def test_a_server_that_cannot_be_reached_gives_its_place_back(lanes: BatchConnections, monkeypatch: Any) -> None:
    async def refuse() -> Any:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(lanes, "_connect", refuse)
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await who(lanes)
    assert await who(lanes)


@pytest.mark.parametrize("end", ["close", "terminate"])
async def test_lanes_that_are_closed_stay_closed(lanes: BatchConnections, end: str) -> None:
    await who(lanes)
    (lane,) = lanes._made
    if end == "close":
        await lanes.close()
    else:
        lanes.terminate()
    assert lane.is_closed()
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await who(lanes)


async def test_a_lane_that_comes_up_while_the_lanes_close_is_closed_too(
    lanes: BatchConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    connect = lanes._connect

    async def late() -> Any:
        made.append(await connect())
        lanes.terminate()
        return made[0]

    monkeypatch.setattr(lanes, "_connect", late)
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await who(lanes)
    assert made[0].is_closed()
