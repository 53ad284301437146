"""Batching changes nothing that a caller can see: freshness, errors, cancellation."""

import asyncio
import time
from typing import Any

import pytest

from server.database.batching import MAX_IN_FLIGHT, ReadBatcher, WriteBatcher
from server.errors import Busy, Unavailable
from tests.database.batches import Statement, asking, no_row, turns

pytestmark = pytest.mark.usefixtures("slow_timers")  # no batch becomes slow by itself


async def test_calls_of_one_moment_are_one_batch(statement: Statement) -> None:
    callers = asking(ReadBatcher(statement.run), 1, 2, 3)
    assert await statement.received(1) == [1, 2, 3]
    statement.answer(1)
    assert await asyncio.gather(*callers) == [(1, "1@1"), (2, "2@1"), (3, "3@1")]


async def test_a_single_call_is_sent_in_the_next_turn_of_the_loop(statement: Statement) -> None:
    asking(ReadBatcher(statement.run), 1)
    await turns(3)
    assert len(statement.batches) == 1
    statement.answer(1)


async def test_a_key_without_a_row_is_none(statement: Statement) -> None:
    callers = asking(ReadBatcher(statement.run), 1, 2)
    await statement.received(1)
    statement.answer(1, leaving_out=[2])
    assert await asyncio.gather(*callers) == [(1, "1@1"), None]


async def test_callers_of_one_key_share_its_row(statement: Statement) -> None:
    callers = asking(ReadBatcher(statement.run), 1, 1, 1)
    assert await statement.received(1) == [1]
    statement.answer(1)
    assert await asyncio.gather(*callers) == [(1, "1@1")] * 3


async def test_a_call_never_joins_a_batch_already_sent(statement: Statement) -> None:
    batcher = ReadBatcher(statement.run, max_in_flight=2)
    (early,) = asking(batcher, 1)
    await statement.received(1)
    (late,) = asking(batcher, 1)
    assert await statement.received(2) == [1]
    statement.answer(2)
    assert await late == (1, "1@2")
    statement.answer(1)
    assert await early == (1, "1@1")


@pytest.mark.parametrize("limit", [1, 2])
async def test_while_batches_are_in_flight_the_next_one_fills_up(statement: Statement, limit: int) -> None:
    batcher = ReadBatcher(statement.run, max_in_flight=limit)
    for number in range(limit):
        asking(batcher, number)
        await statement.received(number + 1)
    asking(batcher, 10)
    await turns()
    asking(batcher, 11, 12)
    await turns()
    assert len(statement.batches) == limit
    statement.answer(1)
    assert await statement.received(limit + 1) == [10, 11, 12]
    for number in range(2, limit + 2):
        statement.answer(number)
    await batcher.close()


async def test_the_next_batch_is_sent_before_the_callers_of_the_last_one_continue(statement: Statement) -> None:
    batcher = ReadBatcher(statement.run)
    seen = []

    async def caller() -> None:
        await batcher.ask(1)
        seen.append(len(statement.batches))

    first = asyncio.create_task(caller())
    await statement.received(1)
    asking(batcher, 2)
    await turns()
    statement.answer(1)
    await first
    assert seen == [2]
    statement.answer(2)
    await batcher.close()


async def test_what_waits_when_the_sending_task_is_cancelled_is_sent_by_another(statement: Statement) -> None:
    others = asyncio.all_tasks()
    batcher = ReadBatcher(statement.run)
    (first,) = asking(batcher, 1)
    await statement.received(1)
    (second,) = asking(batcher, 2)
    await turns()
    (sending,) = asyncio.all_tasks() - others - {first, second}
    sending.cancel()
    with pytest.raises(Unavailable):
        await first
    assert await statement.received(2) == [2]
    statement.answer(2)
    assert await second == (2, "2@2")


async def seconds_to_drop(number: int) -> float:
    """The processor time that a batcher takes to drop `number` cancelled callers."""
    statement = Statement()
    batcher = ReadBatcher(statement.run, max_waiting=number + 1)
    asking(batcher, -1)
    await statement.received(1)
    for waiter in [batcher.ask(key) for key in range(number)]:
        waiter.cancel()
    began = time.thread_time()
    statement.answer(1)
    await batcher.close()
    took = time.thread_time() - began
    refill = [batcher.ask(key) for key in range(number + 1)]  # raises Busy if a dropped caller still counts
    await statement.received(2)
    statement.answer(2)
    for waiter in refill:
        waiter.cancel()
    await batcher.close()
    return took


async def test_dropping_a_cancelled_caller_takes_the_same_time_however_many_there_are() -> None:
    # Ten times as many take about ten times as long. With a search for the first key of a dict for each of them, which
    # passes all deleted keys, it was a hundred times as long.
    few = min([await seconds_to_drop(4_000) for _ in range(3)])
    many = min([await seconds_to_drop(40_000) for _ in range(2)])
    assert many < 35 * few


async def test_a_batch_has_a_maximum_size(statement: Statement) -> None:
    batcher = ReadBatcher(statement.run, max_batch_rows=2, max_in_flight=2)
    callers = asking(batcher, 1, 2, 3)
    assert await statement.received(2) == [3]
    assert statement.batches[0][0] == [1, 2]
    statement.answer(1)
    statement.answer(2)
    assert len(await asyncio.gather(*callers)) == 3


async def test_too_many_callers_get_busy_at_once(statement: Statement) -> None:
    batcher = ReadBatcher(statement.run, max_waiting=2)
    callers = asking(batcher, 1, 2)
    await statement.received(1)
    with pytest.raises(Busy):
        await batcher.ask(3)
    statement.answer(1)
    await asyncio.gather(*callers)
    (again,) = asking(batcher, 3)
    await statement.received(2)
    statement.answer(2)
    assert await again == (3, "3@2")


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, no_row)], ids=["reads", "changes"])
async def test_a_refused_row_fails_only_its_own_caller(statement: Statement, kind: Any) -> None:
    good, bad, fine = asking(kind(statement.run), 1, 2, 3)
    await statement.received(1)
    statement.fail(1, ValueError("batch"))
    await statement.received(2)
    statement.answer(2)
    await statement.received(3)
    statement.fail(3, ValueError("two"))
    await statement.received(4)
    statement.answer(4)
    assert await good == (1, "1@2")
    assert await fine == (3, "3@4")
    with pytest.raises(ValueError, match="two"):
        await bad
    assert [keys for keys, _ in statement.batches] == [[1, 2, 3], [1], [2], [3]]


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, no_row)], ids=["reads", "changes"])
async def test_after_a_lost_connection_every_caller_fails_and_nothing_is_sent_again(
    statement: Statement, kind: Any
) -> None:
    callers = asking(kind(statement.run), 1, 2, 3)
    await statement.received(1)
    statement.fail(1, Unavailable())
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable] * 3
    assert len({id(failure) for failure in failures}) == 3
    await turns()
    assert len(statement.batches) == 1


async def test_a_cancelled_caller_does_not_affect_the_others(statement: Statement) -> None:
    first, cancelled, other = asking(ReadBatcher(statement.run), 1, 1, 2)
    await statement.received(1)
    cancelled.cancel()
    await turns()
    statement.answer(1)
    assert await first == (1, "1@1")
    assert await other == (2, "2@1")
    assert cancelled.cancelled()


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, no_row)], ids=["reads", "changes"])
async def test_a_row_that_no_caller_waits_for_is_not_sent(statement: Statement, kind: Any) -> None:
    batcher = kind(statement.run)
    for number in range(MAX_IN_FLIGHT):
        asking(batcher, -number)
        await statement.received(number + 1)
    cancelled, other = asking(batcher, 1, 2)
    await turns()
    cancelled.cancel()
    await turns()
    statement.answer(1)
    assert await statement.received(MAX_IN_FLIGHT + 1) == [2]
    for number in range(2, MAX_IN_FLIGHT + 2):
        statement.answer(number)
    assert await other == (2, f"2@{MAX_IN_FLIGHT + 1}")
    (again,) = asking(batcher, 1)
    assert await statement.received(MAX_IN_FLIGHT + 2) == [1]
    statement.answer(MAX_IN_FLIGHT + 2)
    assert await again == (1, f"1@{MAX_IN_FLIGHT + 2}")
