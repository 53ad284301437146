"""Changes in batches: their order, locked rows, and a model that checks random calls."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from server.database.batching import MAX_ROWS_ALONE, WriteBatcher
from server.errors import Unavailable
from tests.database.batches import LockedRows, Statement, ask, asking, no_row, turns

pytestmark = pytest.mark.usefixtures("slow_timers")  # no batch becomes slow by itself


async def test_a_connection_lost_between_single_rows_fails_the_remaining_callers(statement: Statement) -> None:
    first, second, third = asking(WriteBatcher(statement.run, no_row), 1, 2, 3)
    await statement.received(1)
    statement.fail(1, ValueError())
    await statement.received(2)
    statement.answer(2)
    await statement.received(3)
    statement.fail(3, Unavailable())
    assert await first == (1, "1@2")
    for caller in (second, third):
        with pytest.raises(Unavailable):
            await caller
    assert len(statement.batches) == 3


async def test_changes_of_one_key_keep_their_order_one_at_a_time(statement: Statement) -> None:
    batcher = WriteBatcher(statement.run, no_row)
    callers = asking(batcher, 1, 1, 2, 1)
    assert await statement.received(1) == [1, 2]
    await turns()
    assert len(statement.batches) == 1, "the second change of 1 was sent before the first was answered"
    statement.answer(1)
    assert await statement.received(2) == [1]
    statement.answer(2)
    assert await statement.received(3) == [1]
    statement.answer(3)
    assert await asyncio.gather(*callers) == [(1, "1@1"), (1, "1@2"), (2, "2@1"), (1, "1@3")]


async def test_a_change_cancelled_while_it_waits_for_an_earlier_one_is_dropped(statement: Statement) -> None:
    batcher = WriteBatcher(statement.run, no_row)
    first, cancelled, third = asking(batcher, 1, 1, 1)
    await statement.received(1)
    cancelled.cancel()
    await turns()
    statement.answer(1)
    await statement.received(2)
    statement.answer(2)
    assert await first == (1, "1@1")
    assert await third == (1, "1@2")
    await batcher.close()
    assert len(statement.batches) == 2


async def test_a_locked_row_runs_alone_and_does_not_delay_other_batches(
    statement: Statement, locked_rows: LockedRows
) -> None:
    batcher = WriteBatcher(statement.run, locked_rows.run)
    locked, free, later = asking(batcher, 1, 2, 1)
    await statement.received(1)
    statement.answer(1, leaving_out=[1])
    assert await free == (2, "2@1")
    (other,) = asking(batcher, 3)
    assert await statement.received(2) == [3]
    statement.answer(2)
    assert await other == (3, "3@2")
    assert locked_rows.sent == [(1, "given 1")]
    locked_rows.unlocked.set()
    assert await locked == (1, "alone")
    assert await statement.received(3) == [1]
    statement.answer(3)
    assert await later == (1, "1@3")


async def test_a_change_cancelled_while_it_waits_to_run_alone_is_not_sent(
    statement: Statement, locked_rows: LockedRows
) -> None:
    batcher = WriteBatcher(statement.run, locked_rows.run)
    *first, last = asking(batcher, *range(MAX_ROWS_ALONE + 1))
    keys = await statement.received(1)
    statement.answer(1, leaving_out=keys)
    await turns()
    assert [key for key, _ in locked_rows.sent] == keys[:MAX_ROWS_ALONE]
    last.cancel()
    locked_rows.unlocked.set()
    await asyncio.gather(*first)
    await batcher.close()
    assert [key for key, _ in locked_rows.sent] == keys[:MAX_ROWS_ALONE]


async def test_rows_that_run_alone_at_once_are_bounded(statement: Statement, locked_rows: LockedRows) -> None:
    batcher = WriteBatcher(statement.run, locked_rows.run)
    callers = asking(batcher, *range(3 * MAX_ROWS_ALONE))
    keys = await statement.received(1)
    statement.answer(1, leaving_out=keys)
    await turns()
    assert [key for key, _ in locked_rows.sent] == keys[:MAX_ROWS_ALONE]
    locked_rows.unlocked.set()
    assert await asyncio.gather(*callers) == [(key, "alone") for key in keys]


async def test_after_a_row_fails_alone_the_next_change_of_its_key_is_sent(statement: Statement) -> None:
    async def run_row(arguments: Sequence[Any]) -> Any:
        raise Unavailable

    batcher = WriteBatcher(statement.run, run_row)
    locked, later = asking(batcher, 1, 1)
    await statement.received(1)
    statement.answer(1, leaving_out=[1])
    with pytest.raises(Unavailable):
        await locked
    await statement.received(2)
    statement.answer(2)
    assert await later == (1, "1@2")


async def test_close_waits_for_every_entry(statement: Statement) -> None:
    batcher = WriteBatcher(statement.run, no_row)
    callers = asking(batcher, 1, 1)
    await statement.received(1)
    closing = asyncio.create_task(batcher.close())
    await turns()
    assert not closing.done()
    statement.answer(1)
    await statement.received(2)
    statement.answer(2)
    await closing
    assert all(caller.done() for caller in callers)


@pytest.mark.parametrize("seed", range(20))
async def test_random_calls_are_answered_as_a_model_says(seed: int, slow_timers: list[Any]) -> None:
    chance = random.Random(seed)
    log: dict[int, list[int]] = {}
    busy: set[int] = set()
    in_flight = peak = 0

    async def apply(arguments: Sequence[Any]) -> Any:
        key, number = arguments
        if number % 11 == 0:
            raise ValueError(number)
        log.setdefault(key, []).append(number)
        return (key, number)

    async def run(columns: Sequence[Sequence[Any]]) -> Any:
        nonlocal in_flight, peak
        in_flight += 1
        peak = max(peak, in_flight)
        asked = list(zip(*columns, strict=True))
        keys = {key for key, _ in asked}
        assert len(keys) == len(asked)
        assert not keys & busy, "a key was in two batches at once"
        busy.update(keys)
        try:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.05:
                raise Unavailable
            if any(number % 11 == 0 for _, number in asked):
                raise ValueError(asked[0][1] if len(asked) == 1 else "one of many")
            return [await apply(each) for each in asked if chance.random() < 0.9]
        finally:
            busy.difference_update(keys)
            in_flight -= 1

    async def run_row(arguments: Sequence[Any]) -> Any:
        await asyncio.sleep(0)
        return await apply(arguments)

    batcher = WriteBatcher(run, run_row, max_batch_rows=5, max_in_flight=seed % 2 + 1)
    callers: dict[int, asyncio.Task[Any]] = {}
    keys: dict[int, int] = {}
    for number in range(1, 300):
        keys[number] = chance.randrange(12)
        callers[number] = asyncio.create_task(ask(batcher, keys[number], number))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            callers[chance.randrange(1, number + 1)].cancel()
    answers = await asyncio.gather(*callers.values(), return_exceptions=True)
    await batcher.close()
    assert peak == seed % 2 + 1, "more batches were in flight than the limit"
    for number, answer in zip(callers, answers, strict=True):
        if isinstance(answer, tuple):
            assert answer == (keys[number], number)
        elif isinstance(answer, ValueError):
            assert answer.args == (number,)
        else:
            assert isinstance(answer, Unavailable | asyncio.CancelledError)
    for numbers in log.values():
        assert numbers == sorted(set(numbers)), "changes of one key ran out of order, or twice"
