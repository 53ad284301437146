"""Reads the objects of a file of `dumpdata` (JSON or JSONL) one after the other, and says what is wrong with a file."""

import codecs
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ijson
import orjson

from server.transfer.rows import UnusableSource

CHUNK_BYTES = 64 * 1024

_NOT_JSON = (ijson.JSONError, ValueError, ArithmeticError)  # ArithmeticError: an exponent of many digits


class DumpObject(NamedTuple):
    """An object of a dump: its model, such as `auth.user`, its primary key, and its fields."""

    model: str
    key: Any
    fields: dict[str, Any]


def read_objects(path: Path) -> Iterator[DumpObject]:
    """The objects of a dump. Raises UnusableSource."""
    # ijson 3.6 crashes at a whole number of more digits than Python's limit, 4,300.
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with path.open("rb") as file:
            for each in _items(file):
                if not isinstance(each, dict) or not isinstance(each.get("fields"), dict):
                    raise UnusableSource(f"{path} is no file of dumpdata.")
                yield DumpObject(str(each.get("model")), each.get("pk"), each["fields"])
    except OSError as failure:
        raise UnusableSource(f"{path} cannot be read: {failure.strerror}.") from None
    except _NOT_JSON as failure:
        raise UnusableSource(f"{path} cannot be read: {_fault(path, failure)}.") from None
    finally:
        sys.set_int_max_str_digits(digits)


def encode(fields: dict[str, Any]) -> tuple[bytes, str]:
    """The fields as JSON, and why they are not all there."""
    try:
        return orjson.dumps(fields, default=_number), ""
    except TypeError:
        kept = {name: value for name, value in fields.items() if _is_encodable(value)}
        fault = f"{', '.join(sorted(fields.keys() - kept.keys()))}: has a number outside 64 bits"
        return orjson.dumps(kept, default=_number), fault


def _items(file: BinaryIO) -> Iterator[Any]:
    """The members of one list, or values one after the other. Numbers as they are: ijson's own floats have 64 bits."""
    head = file.read(64)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    file.seek(start)
    head = head[start:].lstrip()
    if not head:
        return iter(())
    if head.startswith(b"["):
        return iter(ijson.items(file, "item"))
    return iter(ijson.items(file, "", multiple_values=True))


def _fault(path: Path, failure: Exception) -> str:
    """What is wrong with a dump. The text of ijson shows a piece of the file, which may be a hash: its first line."""
    if place := _first_byte_that_is_not_utf8(path):
        return f"byte {place} is not UTF-8"
    if not isinstance(failure, ijson.JSONError):
        return "it has a number of too many digits"
    text = str(failure).removeprefix("b'").replace("\\n", "\n").partition("\n")[0]
    if "premature EOF" in text:
        return "it ends in the middle of an object or of the list"
    return f"it is not JSON ({text.rstrip('.')})"


def _first_byte_that_is_not_utf8(path: Path) -> int:
    """Counted from 1; 0: the file is UTF-8. An end in the middle of a character is that of a file that was cut."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as failure:
                return before - waiting + failure.start + 1
            before += len(chunk)
    return 0


def _number(value: Any) -> float:
    """For orjson: a decimal number as a float. Raises TypeError, which orjson reports."""
    number = float(value) if isinstance(value, Decimal) else float("inf")
    if number in (float("inf"), float("-inf")):
        raise TypeError
    return number


def _is_encodable(value: Any) -> bool:
    try:
        orjson.dumps(value, default=_number)
    except TypeError:
        return False
    return True
