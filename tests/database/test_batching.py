"""Sharing a statement changes nothing that a caller can see: freshness, order, whose failure it is."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from server.database.batching import (
    MAX_ALONE,
    MAX_IN_FLIGHT,
    MAX_SLOW_BATCHES,
    SLOW_BATCH_SECONDS,
    ReadBatcher,
    WriteBatcher,
)
from server.errors import Busy, Unavailable


class Statement:
    """A statement whose sets arrive here, and are answered when the test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[Any], asyncio.Future[Any]]] = []

    async def run(self, columns: Sequence[Sequence[Any]]) -> Any:
        answered = asyncio.get_running_loop().create_future()
        self.sent.append((list(columns[0]), answered))
        return await answered

    async def arrived(self, number: int) -> list[Any]:
        """Wait until `number` sets were sent; the keys of the last of them."""
        async with asyncio.timeout(10):
            while len(self.sent) < number:
                await asyncio.sleep(0)
        return self.sent[number - 1][0]

    def answer(self, number: int, leaving_out: Sequence[Any] = ()) -> None:
        keys, answered = self.sent[number - 1]
        answered.set_result([(key, f"{key}@{number}") for key in keys if key not in leaving_out])

    def fail(self, number: int, failure: Exception) -> None:
        self.sent[number - 1][1].set_exception(failure)


class Alone:
    """Rows that go alone, and come back when the test unlocks them."""

    def __init__(self) -> None:
        self.sent: list[Sequence[Any]] = []
        self.unlocked = asyncio.Event()

    async def run(self, arguments: Sequence[Any]) -> Any:
        self.sent.append(arguments)
        await self.unlocked.wait()
        return (arguments[0], "alone")


async def nobody(arguments: Sequence[Any]) -> Any:
    return None


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def ask(statement: Any, *arguments: Any) -> Any:
    return await statement.ask(*arguments)


def asking(statement: Any, *keys: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(ask(statement, key, f"given {key}")) for key in keys]


@pytest.fixture
def sent() -> Statement:
    return Statement()


@pytest.fixture
def alone() -> Alone:
    return Alone()


@pytest.fixture(autouse=True)
async def patience(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The patience with each set that was sent: called, it is over; by itself it lasts for ever."""
    ends: list[Any] = []

    loop = asyncio.get_running_loop()

    def call_later(delay: float, callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:
        if delay != SLOW_BATCH_SECONDS:
            return call(delay, callback, *arguments, context=context)
        ends.append(lambda: callback(*arguments))
        return asyncio.Handle(callback, arguments, loop)

    call = loop.call_later
    monkeypatch.setattr(loop, "call_later", call_later)
    return ends


async def test_callers_of_one_moment_travel_together(sent: Statement) -> None:
    callers = asking(ReadBatcher(sent.run), 1, 2, 3)
    assert await sent.arrived(1) == [1, 2, 3]
    sent.answer(1)
    assert await asyncio.gather(*callers) == [(1, "1@1"), (2, "2@1"), (3, "3@1")]


async def test_a_lone_caller_waits_for_nobody(sent: Statement) -> None:
    asking(ReadBatcher(sent.run), 1)
    await turns(3)
    assert len(sent.sent) == 1
    sent.answer(1)


async def test_a_key_that_is_not_there_is_none(sent: Statement) -> None:
    callers = asking(ReadBatcher(sent.run), 1, 2)
    await sent.arrived(1)
    sent.answer(1, leaving_out=[2])
    assert await asyncio.gather(*callers) == [(1, "1@1"), None]


async def test_callers_of_one_key_share_its_row(sent: Statement) -> None:
    callers = asking(ReadBatcher(sent.run), 1, 1, 1)
    assert await sent.arrived(1) == [1]
    sent.answer(1)
    assert await asyncio.gather(*callers) == [(1, "1@1")] * 3


async def test_a_call_never_joins_a_statement_already_sent(sent: Statement) -> None:
    reads = ReadBatcher(sent.run, max_in_flight=2)
    (early,) = asking(reads, 1)
    await sent.arrived(1)
    (late,) = asking(reads, 1)
    assert await sent.arrived(2) == [1]
    sent.answer(2)
    assert await late == (1, "1@2")
    sent.answer(1)
    assert await early == (1, "1@1")


@pytest.mark.parametrize("lanes", [1, 2])
async def test_while_sets_are_under_way_the_next_fills_up(sent: Statement, lanes: int) -> None:
    reads = ReadBatcher(sent.run, max_in_flight=lanes)
    for number in range(lanes):
        asking(reads, number)
        await sent.arrived(number + 1)
    asking(reads, 10)
    await turns()
    asking(reads, 11, 12)
    await turns()
    assert len(sent.sent) == lanes
    sent.answer(1)
    assert await sent.arrived(lanes + 1) == [10, 11, 12]
    for number in range(2, lanes + 2):
        sent.answer(number)
    await reads.close()


async def test_a_set_that_does_not_come_back_holds_up_nobody(sent: Statement, patience: list[Any]) -> None:
    reads = ReadBatcher(sent.run)
    (frozen,) = asking(reads, 1)
    await sent.arrived(1)
    (second,) = asking(reads, 2)
    await turns()
    assert len(sent.sent) == 1
    patience[0]()
    assert await sent.arrived(2) == [2]
    sent.answer(2)
    assert await second == (2, "2@2")
    (third,) = asking(reads, 3)
    assert await sent.arrived(3) == [3], "a set that is late took the lane once more"
    asking(reads, 4)
    await turns()
    assert len(sent.sent) == 3, "beside a set that is late there are more lanes than before"
    sent.answer(3)
    await sent.arrived(4)
    sent.answer(4)
    sent.answer(1)
    assert await frozen == (1, "1@1")
    assert await third == (3, "3@3")
    asking(reads, 5)
    await sent.arrived(5)
    asking(reads, 6)
    await turns()
    assert len(sent.sent) == 5, "the lane was given back twice"
    sent.answer(5)
    await sent.arrived(6)
    sent.answer(6)
    await reads.close()


async def test_the_next_set_leaves_before_those_go_on_whom_the_last_one_answered(sent: Statement) -> None:
    reads = ReadBatcher(sent.run)
    seen = []

    async def caller() -> None:
        await reads.ask(1)
        seen.append(len(sent.sent))

    first = asyncio.create_task(caller())
    await sent.arrived(1)
    asking(reads, 2)
    await turns()
    sent.answer(1)
    await first
    assert seen == [2]
    sent.answer(2)
    await reads.close()


async def test_a_set_that_comes_back_late_gives_its_lane_up(sent: Statement, patience: list[Any]) -> None:
    reads = ReadBatcher(sent.run)
    asking(reads, 1)
    await sent.arrived(1)
    patience[0]()
    asking(reads, 2)
    await sent.arrived(2)
    asking(reads, 3)
    await turns()
    sent.answer(1)
    await turns()
    assert len(sent.sent) == 2, "two carried beside each other, and none of them was late"
    sent.answer(2)
    assert await sent.arrived(3) == [3]
    sent.answer(3)
    await reads.close()


async def test_what_waits_when_its_carrier_is_cancelled_is_carried_by_another(sent: Statement) -> None:
    reads = ReadBatcher(sent.run)
    (first,) = asking(reads, 1)
    await sent.arrived(1)
    (second,) = asking(reads, 2)
    await turns()
    (carrier,) = reads._tasks
    carrier.cancel()
    with pytest.raises(Unavailable):
        await first
    assert await sent.arrived(2) == [2]
    sent.answer(2)
    assert await second == (2, "2@2")


async def test_dropping_many_that_left_takes_no_longer_for_each_of_them(sent: Statement) -> None:
    reads = ReadBatcher(sent.run, max_waiting=20_001)
    asking(reads, -1)
    await sent.arrived(1)
    left = [reads.ask(number) for number in range(20_000)]
    for waiter in left:
        waiter.cancel()
    # Each look for the first of a dict goes past all that were taken before: counted, not timed.
    looks = 0

    class Counted(dict[Any, Any]):
        def values(self) -> Any:
            nonlocal looks
            looks += 1
            return super().values()

    reads._waiting = Counted(reads._waiting)
    sent.answer(1)
    await reads.close()
    assert looks <= 20_000 / 200
    assert reads._callers == 0


async def test_sets_that_do_not_come_back_are_bounded(sent: Statement, patience: list[Any]) -> None:
    reads = ReadBatcher(sent.run)
    for number in range(1, MAX_SLOW_BATCHES + 2):
        asking(reads, number)
        await sent.arrived(number)
        patience[number - 1]()
    asking(reads, 10)
    await turns()
    assert len(sent.sent) == MAX_SLOW_BATCHES + 1
    sent.answer(1)
    assert await sent.arrived(MAX_SLOW_BATCHES + 2) == [10]
    for number in range(2, MAX_SLOW_BATCHES + 3):
        sent.answer(number)
    await reads.close()


async def test_a_set_has_a_maximum_size(sent: Statement) -> None:
    reads = ReadBatcher(sent.run, max_batch_rows=2, max_in_flight=2)
    callers = asking(reads, 1, 2, 3)
    assert await sent.arrived(2) == [3]
    assert sent.sent[0][0] == [1, 2]
    sent.answer(1)
    sent.answer(2)
    assert len(await asyncio.gather(*callers)) == 3


async def test_too_many_callers_are_told_at_once(sent: Statement) -> None:
    reads = ReadBatcher(sent.run, max_waiting=2)
    callers = asking(reads, 1, 2)
    await sent.arrived(1)
    with pytest.raises(Busy):
        await reads.ask(3)
    sent.answer(1)
    await asyncio.gather(*callers)
    (again,) = asking(reads, 3)
    await sent.arrived(2)
    sent.answer(2)
    assert await again == (3, "3@2")


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, nobody)], ids=["reads", "changes"])
async def test_a_bad_row_fails_its_owner_alone(sent: Statement, kind: Any) -> None:
    good, bad, fine = asking(kind(sent.run), 1, 2, 3)
    await sent.arrived(1)
    sent.fail(1, ValueError("set"))
    await sent.arrived(2)
    sent.answer(2)
    await sent.arrived(3)
    sent.fail(3, ValueError("two"))
    await sent.arrived(4)
    sent.answer(4)
    assert await good == (1, "1@2")
    assert await fine == (3, "3@4")
    with pytest.raises(ValueError, match="two"):
        await bad
    assert [keys for keys, _ in sent.sent] == [[1, 2, 3], [1], [2], [3]]


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, nobody)], ids=["reads", "changes"])
async def test_a_lost_connection_is_told_to_every_caller_and_nothing_is_tried_again(sent: Statement, kind: Any) -> None:
    callers = asking(kind(sent.run), 1, 2, 3)
    await sent.arrived(1)
    sent.fail(1, Unavailable())
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable] * 3
    assert len({id(failure) for failure in failures}) == 3
    await turns()
    assert len(sent.sent) == 1


async def test_a_connection_lost_among_single_rows_is_told_to_those_behind(sent: Statement) -> None:
    first, second, third = asking(WriteBatcher(sent.run, nobody), 1, 2, 3)
    await sent.arrived(1)
    sent.fail(1, ValueError())
    await sent.arrived(2)
    sent.answer(2)
    await sent.arrived(3)
    sent.fail(3, Unavailable())
    assert await first == (1, "1@2")
    for caller in (second, third):
        with pytest.raises(Unavailable):
            await caller
    assert len(sent.sent) == 3


async def test_a_caller_that_leaves_disturbs_nobody(sent: Statement) -> None:
    stays, leaves, shares = asking(ReadBatcher(sent.run), 1, 1, 2)
    await sent.arrived(1)
    leaves.cancel()
    await turns()
    sent.answer(1)
    assert await stays == (1, "1@1")
    assert await shares == (2, "2@1")
    assert leaves.cancelled()


@pytest.mark.parametrize("kind", [ReadBatcher, lambda run: WriteBatcher(run, nobody)], ids=["reads", "changes"])
async def test_what_nobody_waits_for_any_more_is_not_sent(sent: Statement, kind: Any) -> None:
    statement = kind(sent.run)
    for number in range(MAX_IN_FLIGHT):
        asking(statement, -number)
        await sent.arrived(number + 1)
    leaves, stays = asking(statement, 1, 2)
    await turns()
    leaves.cancel()
    await turns()
    sent.answer(1)
    assert await sent.arrived(MAX_IN_FLIGHT + 1) == [2]
    for number in range(2, MAX_IN_FLIGHT + 2):
        sent.answer(number)
    assert await stays == (2, f"2@{MAX_IN_FLIGHT + 1}")
    (again,) = asking(statement, 1)
    assert await sent.arrived(MAX_IN_FLIGHT + 2) == [1]
    sent.answer(MAX_IN_FLIGHT + 2)
    assert await again == (1, f"1@{MAX_IN_FLIGHT + 2}")


async def test_changes_of_one_key_keep_their_order_one_at_a_time(sent: Statement) -> None:
    changes = WriteBatcher(sent.run, nobody)
    callers = asking(changes, 1, 1, 2, 1)
    assert await sent.arrived(1) == [1, 2]
    await turns()
    assert len(sent.sent) == 1, "the second change of 1 left before the first came back"
    sent.answer(1)
    assert await sent.arrived(2) == [1]
    sent.answer(2)
    assert await sent.arrived(3) == [1]
    sent.answer(3)
    assert await asyncio.gather(*callers) == [(1, "1@1"), (1, "1@2"), (2, "2@1"), (1, "1@3")]


async def test_a_change_that_was_left_while_it_waited_behind_another_is_dropped(sent: Statement) -> None:
    changes = WriteBatcher(sent.run, nobody)
    first, leaves, third = asking(changes, 1, 1, 1)
    await sent.arrived(1)
    leaves.cancel()
    await turns()
    sent.answer(1)
    await sent.arrived(2)
    sent.answer(2)
    assert await first == (1, "1@1")
    assert await third == (1, "1@2")
    await changes.close()
    assert len(sent.sent) == 2


async def test_a_row_that_is_left_out_goes_alone_and_holds_up_nobody(sent: Statement, alone: Alone) -> None:
    changes = WriteBatcher(sent.run, alone.run)
    locked, free, behind = asking(changes, 1, 2, 1)
    await sent.arrived(1)
    sent.answer(1, leaving_out=[1])
    assert await free == (2, "2@1")
    (other,) = asking(changes, 3)
    assert await sent.arrived(2) == [3]
    sent.answer(2)
    assert await other == (3, "3@2")
    assert alone.sent == [(1, "given 1")]
    alone.unlocked.set()
    assert await locked == (1, "alone")
    assert await sent.arrived(3) == [1]
    sent.answer(3)
    assert await behind == (1, "1@3")


async def test_a_change_that_was_left_while_it_waited_to_go_alone_is_not_sent(sent: Statement, alone: Alone) -> None:
    changes = WriteBatcher(sent.run, alone.run)
    *first, last = asking(changes, *range(MAX_ALONE + 1))
    keys = await sent.arrived(1)
    sent.answer(1, leaving_out=keys)
    await turns()
    assert [key for key, _ in alone.sent] == keys[:MAX_ALONE]
    last.cancel()
    alone.unlocked.set()
    await asyncio.gather(*first)
    await changes.close()
    assert [key for key, _ in alone.sent] == keys[:MAX_ALONE]


async def test_no_more_rows_go_alone_at_once_than_agreed(sent: Statement, alone: Alone) -> None:
    changes = WriteBatcher(sent.run, alone.run)
    callers = asking(changes, *range(3 * MAX_ALONE))
    keys = await sent.arrived(1)
    sent.answer(1, leaving_out=keys)
    await turns()
    assert [key for key, _ in alone.sent] == keys[:MAX_ALONE]
    alone.unlocked.set()
    assert await asyncio.gather(*callers) == [(key, "alone") for key in keys]


async def test_a_row_that_fails_alone_fails_its_owner_and_lets_the_next_come(sent: Statement) -> None:
    async def run_alone(arguments: Sequence[Any]) -> Any:
        raise Unavailable

    changes = WriteBatcher(sent.run, run_alone)
    locked, behind = asking(changes, 1, 1)
    await sent.arrived(1)
    sent.answer(1, leaving_out=[1])
    with pytest.raises(Unavailable):
        await locked
    await sent.arrived(2)
    sent.answer(2)
    assert await behind == (1, "1@2")


async def test_closing_waits_until_all_is_through(sent: Statement) -> None:
    changes = WriteBatcher(sent.run, nobody)
    callers = asking(changes, 1, 1)
    await sent.arrived(1)
    closing = asyncio.create_task(changes.close())
    await turns()
    assert not closing.done()
    sent.answer(1)
    await sent.arrived(2)
    sent.answer(2)
    await closing
    assert all(caller.done() for caller in callers)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_every_caller_gets_an_answer_to_its_own_question(seed: int, patience: list[Any]) -> None:
    chance = random.Random(seed)
    log: dict[int, list[int]] = {}
    busy: set[int] = set()
    under_way = peak = 0

    async def settle(arguments: Sequence[Any]) -> Any:
        key, number = arguments
        if number % 11 == 0:
            raise ValueError(number)
        log.setdefault(key, []).append(number)
        return (key, number)

    async def run(columns: Sequence[Sequence[Any]]) -> Any:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        asked = list(zip(*columns, strict=True))
        keys = {key for key, _ in asked}
        assert len(keys) == len(asked)
        assert not keys & busy, "a key was under way twice"
        busy.update(keys)
        try:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.05:
                raise Unavailable
            if any(number % 11 == 0 for _, number in asked):
                raise ValueError(asked[0][1] if len(asked) == 1 else "one of many")
            return [await settle(each) for each in asked if chance.random() < 0.9]
        finally:
            busy.difference_update(keys)
            under_way -= 1

    async def run_alone(arguments: Sequence[Any]) -> Any:
        await asyncio.sleep(0)
        return await settle(arguments)

    changes = WriteBatcher(run, run_alone, max_batch_rows=5, max_in_flight=seed % 2 + 1)
    callers: dict[int, asyncio.Task[Any]] = {}
    keys: dict[int, int] = {}
    for number in range(1, 300):
        keys[number] = chance.randrange(12)
        callers[number] = asyncio.create_task(ask(changes, keys[number], number))
        if chance.random() < 0.3:
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            callers[chance.randrange(1, number + 1)].cancel()
    answers = await asyncio.gather(*callers.values(), return_exceptions=True)
    await changes.close()
    assert peak == seed % 2 + 1, "more sets were under way than agreed"
    for number, answer in zip(callers, answers, strict=True):
        if isinstance(answer, tuple):
            assert answer == (keys[number], number)
        elif isinstance(answer, ValueError):
            assert answer.args == (number,)
        else:
            assert isinstance(answer, Unavailable | asyncio.CancelledError)
    for numbers in log.values():
        assert numbers == sorted(set(numbers)), "changes of one key came out of order, or twice"
