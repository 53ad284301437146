"""Writes accounts to a file that an import reads: CSV (RFC 4180) with a head, or a JSON object on each line."""

import contextlib
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from server.settings.account_model import AccountModel
from server.transfer.files import check_suffix, is_csv
from server.transfer.rows import COLUMNS, PROFILE_COLUMNS, UnusableSource


class FileTarget:
    """Writes accounts to a new file, which only its owner may read."""

    def __init__(self, path: Path, account: AccountModel, *, with_hashes: bool) -> None:
        """Make the file, which has nothing yet. Raises UnusableSource when it exists or cannot be made."""
        check_suffix(path)
        self._path = path
        self._is_csv = is_csv(path)
        self._columns = [name for name in COLUMNS if with_hashes or name != "password_hash"]
        self._fields = [each.name for each in account.fields]
        try:
            path.touch(mode=0o600, exist_ok=False)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as failure:
            raise UnusableSource(f"{path} cannot be made: {failure.strerror}.") from None
        # With "\n" alone at the end of lines, the module would not quote a value that has "\r".
        self._writer = csv.writer(self._file, lineterminator="\r\n")

    def begin(self) -> None:
        """Write what comes before the accounts. Raises UnusableSource."""
        if self._is_csv:
            head = [*self._columns, *(f"fields.{name}" for name in self._fields)]
            with self._writing():
                self._writer.writerow([*head, *(f"profile.{name}" for name in PROFILE_COLUMNS)])

    def write(self, values: Mapping[str, Any]) -> None:
        """Write one account: the values of a row. Raises UnusableSource."""
        with self._writing():
            if self._is_csv:
                self._writer.writerow(self._cells(values))
            else:
                kept = {name: values[name] for name in (*self._columns, "fields", "profile")}
                kept["fields"] = {name: value for name, value in kept["fields"].items() if name in self._fields}
                self._file.write(orjson.dumps(kept).decode() + "\n")

    def finish(self) -> None:
        """Write what is left, and close the file. Raises UnusableSource."""
        with self._writing():
            self._file.close()

    def remove(self) -> bool:
        """Remove the file, which is not whole: whether that worked."""
        with contextlib.suppress(OSError):
            self._file.close()
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _cells(self, values: Mapping[str, Any]) -> list[str]:
        cells = [_cell(values[name]) for name in self._columns]
        cells += [_cell(values["fields"].get(name)) for name in self._fields]
        return [*cells, *(_cell(values["profile"].get(name)) for name in PROFILE_COLUMNS)]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            raise UnusableSource(f"{self._path} cannot be written: {failure.strerror}.") from None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode().strip('"')  # true, 7, a time, JSON of lists and objects
