"""A slow batch does not delay the next one, and slow batches are bounded."""

from typing import Any

from server.database.batching import MAX_SLOW_BATCHES, ReadBatcher
from tests.database.batches import Statement, asking, turns


async def test_a_slow_batch_does_not_delay_the_next_one(statement: Statement, slow_timers: list[Any]) -> None:
    batcher = ReadBatcher(statement.run)
    (frozen,) = asking(batcher, 1)
    await statement.received(1)
    (second,) = asking(batcher, 2)
    await turns()
    assert len(statement.batches) == 1
    slow_timers[0]()
    assert await statement.received(2) == [2]
    statement.answer(2)
    assert await second == (2, "2@2")
    (third,) = asking(batcher, 3)
    assert await statement.received(3) == [3], "a slow batch was counted as in flight"
    asking(batcher, 4)
    await turns()
    assert len(statement.batches) == 3, "beside a slow batch there are more batches in flight than one"
    statement.answer(3)
    await statement.received(4)
    statement.answer(4)
    statement.answer(1)
    assert await frozen == (1, "1@1")
    assert await third == (3, "3@3")
    asking(batcher, 5)
    await statement.received(5)
    asking(batcher, 6)
    await turns()
    assert len(statement.batches) == 5, "the end of the slow batch was counted twice"
    statement.answer(5)
    await statement.received(6)
    statement.answer(6)
    await batcher.close()


async def test_after_a_slow_batch_is_answered_there_is_one_in_flight_again(
    statement: Statement, slow_timers: list[Any]
) -> None:
    batcher = ReadBatcher(statement.run)
    asking(batcher, 1)
    await statement.received(1)
    slow_timers[0]()
    asking(batcher, 2)
    await statement.received(2)
    asking(batcher, 3)
    await turns()
    statement.answer(1)
    await turns()
    assert len(statement.batches) == 2, "two batches were in flight, and none of them was slow"
    statement.answer(2)
    assert await statement.received(3) == [3]
    statement.answer(3)
    await batcher.close()


async def test_slow_batches_are_bounded(statement: Statement, slow_timers: list[Any]) -> None:
    batcher = ReadBatcher(statement.run)
    for number in range(1, MAX_SLOW_BATCHES + 2):
        asking(batcher, number)
        await statement.received(number)
        slow_timers[number - 1]()
    asking(batcher, 10)
    await turns()
    assert len(statement.batches) == MAX_SLOW_BATCHES + 1
    statement.answer(1)
    assert await statement.received(MAX_SLOW_BATCHES + 2) == [10]
    for number in range(2, MAX_SLOW_BATCHES + 3):
        statement.answer(number)
    await batcher.close()
