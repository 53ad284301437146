"""How a process counts: counters, gauges and histograms in the row of its numbers. `metrics.py` declares them."""

import bisect
import json
import time
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

from server.telemetry.cells import Row

SUM, MAX, MIN = "sum", "max", "min"  # how the gauges of several processes are one number

_row = Row.private()
_all: "list[Metric]" = []


class Series(NamedTuple):
    """A metric with values of its labels, as the key of a row has it; `extra`: bounds, or how gauges are merged."""

    name: str
    kind: str
    description: str
    labels: tuple[tuple[str, str], ...]
    extra: tuple[Any, ...]

    @classmethod
    def read(cls, key: bytes) -> Self:
        """Parse a key."""
        name, kind, description, labels, extra = json.loads(key)
        return cls(name, kind, description, tuple((label, value) for label, value in labels), tuple(extra))

    def key(self) -> bytes:
        """The key of this series."""
        return json.dumps(self, separators=(",", ":")).encode()


class Metric:
    """A name, a sentence, and the labels that divide it."""

    kind: ClassVar[str]

    def __init__(self, name: str, description: str, *labels: str, known: Sequence[tuple[object, ...]] = ()) -> None:
        """`known`: values of the labels that are shown from the start, so that the first increase is seen."""
        self.name = f"frontdesk_{name}"
        self.description = description
        self.labels = labels
        self._known = known if labels else [()]
        self._places: dict[tuple[object, ...], int] = {}
        self._extra: tuple[object, ...] = ()
        _all.append(self)

    def begin(self) -> None:
        """Show the known values from now on, in the row that is in use now."""
        self._places.clear()
        for values in self._known:
            self._place(values)

    def _cells(self) -> int:
        return 1

    def _place(self, values: tuple[object, ...]) -> int:
        assert len(values) == len(self.labels), self.name
        labels = tuple(zip(self.labels, map(str, values), strict=True))
        series = Series(self.name, self.kind, self.description, labels, self._extra)
        place = self._places[values] = _row.place(series.key(), self._cells())
        return place


class Counter(Metric):
    """A number that only grows. It stays when its process ends."""

    kind = "counter"

    def add(self, *values: object, by: float = 1.0) -> None:
        """Add `by` to the counter with these values of the labels."""
        place = self._places.get(values)
        _row.cells[self._place(values) if place is None else place] += by

    def value(self, *values: object) -> float:
        """What this process has counted."""
        return _row.cells[self._place(values)]


class Gauge(Metric):
    """A number that rises and falls. It ends with its process. `merge`: how those of several processes are one."""

    kind = "gauge"

    def __init__(self, name: str, description: str, *labels: str, merge: str = SUM) -> None:
        super().__init__(name, description, *labels)
        self._extra = (merge,)
        if merge != SUM:  # zero would be a value
            self._known = ()

    def add(self, *values: object, by: float = 1.0) -> None:
        """Add `by`, which may be negative."""
        place = self._places.get(values)
        _row.cells[self._place(values) if place is None else place] += by

    def set(self, value: float, *values: object) -> None:
        """Replace the number. NaN: it is not known now, and the other processes decide."""
        _row.cells[self._place(values)] = value

    def value(self, *values: object) -> float:
        """The number of this process."""
        return _row.cells[self._place(values)]


class Histogram(Metric):
    """How often values were at most as large as each of `bounds`, how often at all, and their sum."""

    kind = "histogram"

    def __init__(self, name: str, description: str, *labels: str, bounds: Sequence[float]) -> None:
        super().__init__(name, description, *labels)
        self._bounds = [*bounds]
        self._extra = tuple(bounds)

    def observe(self, value: float, *values: object) -> None:
        """Count one value."""
        place = self._places.get(values)
        if place is None:
            place = self._place(values)
        cells = _row.cells
        cells[place + bisect.bisect_left(self._bounds, value)] += 1.0
        cells[place + len(self._bounds) + 1] += value

    def count(self, *values: object) -> int:
        """How many values this process has observed."""
        place = self._place(values)
        return int(sum(_row.cells[place : place + len(self._bounds) + 1]))

    def sum(self, *values: object) -> float:
        """The sum of the values that this process has observed."""
        return _row.cells[self._place(values) + len(self._bounds) + 1]

    def _cells(self) -> int:
        return len(self._bounds) + 2  # one for each bound, one beyond the last, the sum


def use(row: Row) -> None:
    """Count in `row` from now on, as this process. What was counted before is not in it."""
    global _row  # the row of a process, as its log is
    _row = row
    for metric in _all:
        metric.begin()


def row_in_use() -> Row:
    """The row in which this process counts."""
    return _row


def keep_ended(row: Row, kept: Row) -> None:
    """The process of `row` has ended: add its counters and histograms to `kept`, and forget its gauges."""
    for key, place, count in row.entries():
        if Series.read(key).kind != Gauge.kind:
            to = kept.place(key, count)
            for cell in range(count):
                kept.cells[to + cell] += row.cells[place + cell]
    row.clear()


def declared() -> dict[str, Metric]:
    """All metrics by name."""
    return {metric.name: metric for metric in _all}


class Stopwatch:
    """Observes in `histogram` how many seconds a block took, also when it raises."""

    __slots__ = ("_began", "_histogram", "_values")

    def __init__(self, histogram: Histogram, *values: object) -> None:
        self._histogram, self._values = histogram, values

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe(time.perf_counter() - self._began, *self._values)
