"""Accounts in files: CSV (RFC 4180) with a head, or a JSON object on each line. One row is in memory at a time."""

import csv
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from server.database.ids import read_id
from server.settings.account_model import AccountModel
from server.transfer.checks import MAX_ID
from server.transfer.rows import COLUMNS, PAGE_ROWS, PROFILE_COLUMNS, Revoked, Row, UnusableSource

LINE_MAX_BYTES = 1024 * 1024  # of a JSON line; an account has 80 kB at most
SUFFIXES = (".csv", ".jsonl")


class FileSource:
    """The accounts of a file, read twice: once to count them and to find the highest ids, once to take them."""

    def __init__(self, path: Path, account: AccountModel) -> None:
        """Raises UnusableSource when the file cannot be read, or has columns that an account does not have."""
        check_suffix(path)
        self._path = path
        self._names = {each.name for each in account.fields}
        self.total = self.highest_id = self.highest_profile_id = 0
        try:
            for row in self._rows():
                self.total += 1
                profile = row.values.get("profile") or {}
                self.highest_id = max(self.highest_id, _id(row.values.get("id")))
                self.highest_profile_id = max(self.highest_profile_id, _id(profile.get("id")))
        except OSError as failure:
            raise UnusableSource(f"{path} cannot be read: {failure.strerror}.") from None

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """All rows, at most PAGE_ROWS at once."""
        rows = self._rows()
        while page := list(islice(rows, PAGE_ROWS)):
            yield page

    async def close(self) -> None:
        """Nothing: the file is open only while its rows are read."""

    async def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Nothing: files have no tokens."""
        return
        yield

    def _rows(self) -> Iterator[Row]:
        read = self._csv_rows if self._path.suffix == ".csv" else self._json_rows
        return read()

    def _csv_rows(self) -> Iterator[Row]:
        with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                head = next(reader, [])
                self._check_columns(head)
                for place, cells in enumerate(reader, 1):
                    if len(cells) == len(head):
                        yield self._row(place, dict(zip(head, cells, strict=True)))
                    elif cells:
                        yield Row(place, fault=f"has {len(cells)} values, and the head {len(head)}")
            except csv.Error as failure:
                raise UnusableSource(f"{self._path}, line {reader.line_num}: is not CSV: {failure}.") from None

    def _check_columns(self, head: Sequence[str]) -> None:
        known = {*COLUMNS, *self._names, *(f"fields.{name}" for name in self._names)}
        known |= {f"profile.{name}" for name in PROFILE_COLUMNS}
        unknown = [name for name in head if name not in known]
        if not head or unknown:
            what = f"has columns that an account does not have: {', '.join(unknown)}" if head else "has no head"
            raise UnusableSource(f"{self._path} {what}. Columns: {', '.join(sorted(known))}.")
        if len(set(head)) < len(head):
            raise UnusableSource(f"{self._path} has a column twice.")

    def _json_rows(self) -> Iterator[Row]:
        with self._path.open("rb") as file:
            place = 0
            while line := file.readline(LINE_MAX_BYTES):
                if not line.strip():
                    continue
                place += 1
                if not line.endswith(b"\n") and len(line) == LINE_MAX_BYTES:
                    raise UnusableSource(f"{self._path}, row {place}: has more than {LINE_MAX_BYTES} bytes.")
                yield self._json_row(place, line)

    def _json_row(self, place: int, line: bytes) -> Row:
        try:
            given = orjson.loads(line)
        except ValueError:
            return Row(place, fault="is not JSON")
        inner = ("fields", "profile")
        if not isinstance(given, dict) or any(
            not isinstance(given.get(name) or {}, dict) or given.get(name) == [] for name in inner
        ):
            return Row(place, fault="is not an object with the objects fields and profile")
        unknown = given.keys() - {*COLUMNS, *inner, *self._names}
        unknown |= {f"fields.{name}" for name in (given.get("fields") or {}).keys() - self._names}
        unknown |= {f"profile.{name}" for name in (given.get("profile") or {}).keys() - {*PROFILE_COLUMNS}}
        if unknown:
            return Row(place, fault=f"has members that an account does not have: {', '.join(sorted(unknown))}")
        return self._row(place, given)

    def _row(self, place: int, given: Mapping[str, Any]) -> Row:
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
        return Row(place, values)


class FileTarget:
    """Writes accounts to a new file, which only its owner may read."""

    def __init__(self, path: Path, account: AccountModel, *, with_hashes: bool) -> None:
        """Raises UnusableSource when the file exists or cannot be made."""
        check_suffix(path)
        self._is_csv = path.suffix == ".csv"
        self._columns = [name for name in COLUMNS if with_hashes or name != "password_hash"]
        self._fields = [each.name for each in account.fields]
        try:
            path.touch(mode=0o600, exist_ok=False)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as failure:
            raise UnusableSource(f"{path} cannot be made: {failure.strerror}.") from None
        self._writer = csv.writer(self._file, lineterminator="\n")
        if self._is_csv:
            head = [*self._columns, *(f"fields.{name}" for name in self._fields)]
            self._writer.writerow([*head, *(f"profile.{name}" for name in PROFILE_COLUMNS)])

    def write(self, values: Mapping[str, Any]) -> None:
        """Write one account: the values of a row."""
        if self._is_csv:
            cells = [_cell(values[name]) for name in self._columns]
            cells += [_cell(values["fields"].get(name)) for name in self._fields]
            self._writer.writerow([*cells, *(_cell(values["profile"].get(name)) for name in PROFILE_COLUMNS)])
        else:
            kept = {name: values[name] for name in (*self._columns, "fields", "profile")}
            kept["fields"] = {name: value for name, value in kept["fields"].items() if name in self._fields}
            self._file.write(orjson.dumps(kept).decode() + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def check_suffix(path: Path) -> None:
    """Raises UnusableSource unless the name says the format."""
    if path.suffix not in SUFFIXES:
        raise UnusableSource(f"{path}: the name should end in {' or '.join(SUFFIXES)}.")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode().strip('"')  # true, 7, a time, JSON of lists and objects


def _id(value: Any) -> int:
    number = read_id(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    return number if number is not None and number <= MAX_ID else 0
