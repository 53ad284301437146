"""Accounts of a file: CSV (RFC 4180) with a head, or a JSON object on each line. A page of rows is in memory at a time.

Values of CSV may also be separated by semicolons or tabs: Excel writes semicolons where numbers have a decimal comma.
The place of a row is its line in the file; of a CSV row that has several lines, the first of them.
"""

import codecs
import csv
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from server.settings.account_model import AccountModel
from server.transfer.checks import read_number
from server.transfer.rows import COLUMNS, PAGE_ROWS, PROFILE_COLUMNS, Revoked, Row, UnusableSource

ROW_MAX_LENGTH = 1024 * 1024  # bytes of a JSON line, characters of a CSV row; an account has 80 kB at most
SUFFIXES = (".csv", ".jsonl")
NOT_UTF8 = "is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)"
UTF16 = "is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)"
UNKNOWN_MAX_LENGTH = 300  # characters of the names of unknown columns in a message

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS = ",;\t"
# The first line that Excel takes for itself: it is no head.
_SEPARATOR_LINE = re.compile(rf"sep=([{_SEPARATORS}])\s*", re.IGNORECASE)


class FileSource:
    """The accounts of a file, read twice: once to count them and to find the highest ids, once to take them."""

    def __init__(self, path: Path, account: AccountModel) -> None:
        """Raises UnusableSource when the file cannot be read, or has columns that an account does not have."""
        check_suffix(path)
        self._path = path
        self._names = {each.name for each in account.fields}
        self.total = self.highest_id = self.highest_profile_id = 0
        for row in self._rows(is_count=True):
            self.total += 1
            profile = row.values.get("profile") or {}
            self.highest_id = max(self.highest_id, read_number(row.values.get("id")) or 0)
            self.highest_profile_id = max(self.highest_profile_id, read_number(profile.get("id")) or 0)

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """All rows, at most PAGE_ROWS at once. Raises UnusableSource."""
        rows = self._rows()
        while page := list(islice(rows, PAGE_ROWS)):
            yield page

    async def close(self) -> None:
        """Nothing: the file is open only while its rows are read."""

    async def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Nothing: files have no tokens."""
        return
        yield

    def _rows(self, *, is_count: bool = False) -> Iterator[Row]:
        """The rows of the file. Raises UnusableSource, also when it is removed or its disk fails between two looks."""
        try:
            self._check_encoding()
            yield from (self._csv_rows() if is_csv(self._path) else self._json_rows(is_count=is_count))
        except OSError as failure:
            raise UnusableSource(f"{self._path} cannot be read: {failure.strerror}.") from None

    def _check_encoding(self) -> None:
        with self._path.open("rb") as file:
            if file.read(2) in _UTF16_MARKS:
                raise UnusableSource(f"{self._path} {UTF16}.")

    def _csv_rows(self) -> Iterator[Row]:
        csv.field_size_limit(ROW_MAX_LENGTH)  # the module's own limit would end the import
        with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
            before = 1 if (named := _SEPARATOR_LINE.fullmatch(first)) else 0  # lines before the head
            separator = named[1] if named else _separator(first)
            reader = csv.reader(file if named else chain([first], file), delimiter=separator, strict=True)
            line = before + 1  # in which the row begins
            try:
                head = [name.strip() for name in next(reader, [])]
                self._check_columns(head, line)
                line = before + reader.line_num + 1
                for cells in reader:
                    if cells:
                        yield self._csv_row(line, head, cells)
                    line = before + reader.line_num + 1
            except csv.Error as failure:
                fault = f"is not CSV: {failure}"
                if str(failure).startswith("field larger"):
                    fault = f"has a value of more than {ROW_MAX_LENGTH} characters, or a quotation mark too few"
                raise UnusableSource(f"{self._path}, line {line}: {fault}.") from None

    def _csv_row(self, line: int, head: Sequence[str], cells: Sequence[str]) -> Row:
        text = "".join(cells)
        if len(text) > ROW_MAX_LENGTH:
            return Row(line, fault=f"has more than {ROW_MAX_LENGTH} characters")
        if len(cells) != len(head):
            return Row(line, fault=f"has {len(cells)} values, and the head {len(head)}")
        # An empty cell is no value: that of None and of "" look the same.
        values = {name: cell or None for name, cell in zip(head, cells, strict=True)}
        return self._row(line, values, fault="" if _is_utf8(text) else NOT_UTF8)

    def _check_columns(self, head: Sequence[str], line: int) -> None:
        if not _is_utf8("".join(head)):
            raise UnusableSource(f"{self._path}, line {line}: {NOT_UTF8}.")
        known = {*COLUMNS, *self._names, *(f"fields.{name}" for name in self._names)}
        known |= {f"profile.{name}" for name in PROFILE_COLUMNS}
        unknown = [name for name in head if name not in known]
        if not head or unknown:
            what = f"has columns that an account does not have: {_named(unknown)}" if head else "has no head"
            raise UnusableSource(f"{self._path} {what}. Columns: {', '.join(sorted(known))}.")
        if len(set(head)) < len(head):
            raise UnusableSource(f"{self._path} has a column twice.")

    def _json_rows(self, *, is_count: bool) -> Iterator[Row]:
        with self._path.open("rb") as file:
            for place, line in enumerate(_lines(file), 1):
                text = line.removeprefix(codecs.BOM_UTF8) if place == 1 else line
                if text.strip() or len(text) > ROW_MAX_LENGTH:
                    yield self._json_row(place, text, is_count=is_count)

    def _json_row(self, place: int, line: bytes, *, is_count: bool) -> Row:
        if len(line) > ROW_MAX_LENGTH:
            return Row(place, fault=f"has more than {ROW_MAX_LENGTH} bytes")
        try:
            given = orjson.loads(line)
            if not is_count:
                _ONCE.decode(line.decode())
        except _TwiceError as failure:
            return Row(place, fault=f"has the member {failure} twice")
        except (ValueError, RecursionError):
            return Row(place, fault="is not JSON" if _is_utf8(line.decode(errors="surrogateescape")) else NOT_UTF8)
        inner = ("fields", "profile")
        if not isinstance(given, dict) or any(
            not isinstance(given.get(name) or {}, dict) or given.get(name) == [] for name in inner
        ):
            return Row(place, fault="is not an object with the objects fields and profile")
        unknown = given.keys() - {*COLUMNS, *inner, *self._names}
        unknown |= {f"fields.{name}" for name in (given.get("fields") or {}).keys() - self._names}
        unknown |= {f"profile.{name}" for name in (given.get("profile") or {}).keys() - {*PROFILE_COLUMNS}}
        if unknown:
            return Row(place, fault=f"has members that an account does not have: {_named(sorted(unknown))}")
        return self._row(place, given)

    def _row(self, place: int, given: Mapping[str, Any], *, fault: str = "") -> Row:
        values: dict[str, Any] = {
            "fields": dict(given.get("fields") or {}),
            "profile": dict(given.get("profile") or {}),
        }
        for name, value in given.items():
            group, dot, inner = name.partition(".")
            if dot:
                values[group][inner] = value
            elif name in COLUMNS:
                values[name] = value
            elif name in self._names:
                values["fields"][name] = value
        return Row(place, values, fault)


def check_suffix(path: Path) -> None:
    """Raises UnusableSource unless the name says the format."""
    if path.suffix.lower() not in SUFFIXES:
        raise UnusableSource(f"{path}: the name should end in {' or '.join(SUFFIXES)}.")


def is_csv(path: Path) -> bool:
    """Whether the name says CSV; of names that `check_suffix` takes, the others say JSON."""
    return path.suffix.lower() == ".csv"


def _separator(head: str) -> str:
    """What separates the values of a CSV file: a comma, unless the head has none and has semicolons or tabs."""
    return "," if "," in head else max(_SEPARATORS, key=head.count)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file. Of one that is too long, only the beginning, which is too long without its mark as well."""
    while line := file.readline(ROW_MAX_LENGTH + len(codecs.BOM_UTF8) + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(ROW_MAX_LENGTH)
        yield line


class _TwiceError(ValueError):
    """An object has a member twice; the text is its name."""


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in members:
        if name in read:
            raise _TwiceError(name)
        read[name] = value
    return read


# orjson takes the last of several members with one name, and does not say so. This decoder takes three times as long.
_ONCE = json.JSONDecoder(object_pairs_hook=_once)


def _is_utf8(text: str) -> bool:
    """Whether a text that was read with "surrogateescape" was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(unknown: Sequence[str]) -> str:
    """The unknown columns or members, and what belongs in place of a password."""
    advice = " (passwords are taken as hashes alone, in password_hash)" if "password" in unknown else ""
    names = ", ".join(name or "one without a name" for name in unknown)
    return (names if len(names) <= UNKNOWN_MAX_LENGTH else f"{names[:UNKNOWN_MAX_LENGTH]}…") + advice
