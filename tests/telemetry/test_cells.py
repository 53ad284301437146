"""A row describes itself, so that processes of different releases can read each other's."""

import os
from collections.abc import Iterator

import pytest

from server.telemetry import cells
from server.telemetry.cells import ROW_BYTES, Row, make_table


@pytest.fixture
def table() -> Iterator[int]:
    fd = make_table(3)
    yield fd
    os.close(fd)


def test_another_process_reads_every_entry_with_its_key(table: int) -> None:
    written = Row.shared(table, 1, empty=True)
    written.cells[written.place(b"a key of some length", 3) + 2] = 7.5
    written.cells[written.place(b"b", 1)] = 1.0
    read = Row.shared(table, 1)
    assert [(key, [*read.cells[place : place + count]]) for key, place, count in read.entries()] == [
        (b"a key of some length", [0.0, 0.0, 7.5]),
        (b"b", [1.0]),
    ]
    assert [*Row.shared(table, 2).entries()] == []


def test_a_key_has_one_place_for_whoever_opens_the_row(table: int) -> None:
    first = Row.shared(table, 0)
    place = first.place(b"a", 1)
    assert first.place(b"a", 1) == Row.shared(table, 0).place(b"a", 1) == place


def test_a_process_begins_with_an_empty_row(table: int) -> None:
    killed = Row.shared(table, 1, empty=True)
    killed.cells[killed.place(b"a", 1)] = 5.0
    successor = Row.shared(table, 1, empty=True)
    assert [*successor.entries()] == []
    assert successor.cells[successor.place(b"a", 1)] == 0.0


def test_an_entry_is_read_only_when_it_is_whole() -> None:
    row = Row.private()
    row.place(b"a", 1)
    used = row.cells[0]
    row.place(b"b", 1)
    row.cells[0] = used  # as a process leaves it that is killed while it adds the second one
    assert [key for key, _, _ in row.entries()] == [b"a"]


def test_a_full_row_takes_no_memory_of_others_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cells, "ROW_BYTES", 512)
    row = Row.private()
    first = row.place(b"first", 1)
    places = {row.place(b"k%d" % number, 15) for number in range(ROW_BYTES // 8)}
    assert max(places) + 15 <= len(row.cells)
    for place in places:
        row.cells[place] += 1.0
    assert row.cells[first] == 0.0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
