"""Log lines: one for each event, as text or JSON, with the id of the request.

ERROR is what the operator must look at soon: a fault of the service, or what it does not recover from by itself. What a
client can cause is never an ERROR (security 42). Lines never contain a password, a token or a link (security 34).
"""

import contextvars
import itertools
import json
import logging
import re
import secrets
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from server.telemetry.metrics import LOG_RECORDS

log = logging.getLogger(__name__)

TEXT, JSON = "text", "json"  # the forms of LOG_FORMAT
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
# An id must be unique, not secret: random bytes for each would take a tenth of the time of a short request.
_PROCESS = secrets.token_hex(5)
_numbers = itertools.count(1)
_PLAIN = re.compile(r"[\w.:/-]+", re.ASCII)


def new_id() -> str:
    """A new id, for a request that has none."""
    return f"{_PROCESS}-{next(_numbers):x}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The fields of a structured line, given as `extra={"fields": …}`; those without a value are left out."""
    fields: dict[str, object] = getattr(record, "fields", {})
    return {name: value for name, value in fields.items() if value is not None}


def _as_text(fields: dict[str, object]) -> str:
    """` name=value` for each field; a text with other than plain characters is written as JSON, in ASCII."""
    return "".join(
        f" {name}={value if _PLAIN.fullmatch(str(value)) else json.dumps(value)}" for name, value in fields.items()
    )


def _printable(text: str) -> str:
    """`text` with what is not printable escaped: line breaks, changes of direction, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _printable_json(text: str) -> str:
    """JSON with the characters that are not printable as escapes of JSON; they can only be in its strings."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


class TextLines(logging.Formatter):
    """`2026-11-23T15:12:37.495Z WARNING server.app message name=value [request id]`, then a traceback.

    No input can forge a line, or show one as another (security 42): a line of a traceback begins with spaces.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as text. What is not printable is escaped."""
        message = _printable(record.getMessage())
        line = f"{_time(record)} {record.levelname} {record.name} {message}{_as_text(_fields(record))}"
        if request_id.get():
            line += f" [{request_id.get()}]"
        if record.exc_info:
            traceback = self.formatException(record.exc_info)
            line += "".join(f"\n  {_printable(each)}" for each in traceback.split("\n"))
        return line


class JsonLines(logging.Formatter):
    """A JSON object on one line: time, level, logger, message; request_id, fields, traceback if there are any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON. What is not printable is escaped (security 42)."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        line |= _fields(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # orjson refuses lone surrogates, and the bytes of a path may become some.
        return _printable_json(json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":")))


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes the log, and counts its lines for the metrics."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. The lock of the handler is held: threads count one after the other."""
        super().emit(record)
        level = record.levelno
        LOG_RECORDS.add("error" if level >= logging.ERROR else "warning" if level >= logging.WARNING else "info")


_form = TEXT


def form_of(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The form of the log before the settings are read, which may have faults; `names` of the variable, by rank."""
    given = next((text for name in names if (text := environment.get(name, "").strip())), TEXT)
    return JSON if given == JSON else TEXT


def line_of(text: str, level: int = logging.INFO, **fields: str) -> str:
    """A text for the operator as it is written to standard output or error: as it is, or as a line of JSON.

    `fields` are for JSON alone: members beside the usual ones, or in their place.
    """
    if _form == TEXT:
        return text
    record = logging.LogRecord("server", level, "", 0, text.strip(), (), None)
    record.fields = fields
    return JsonLines().format(record)


def start_logging(form: str) -> None:
    """Send every log record to standard error in `form` (TEXT or JSON), and make records of what Python would print.

    These are warnings, and exceptions that end the program or a thread, or that have no caller.
    """
    global _form
    _form = form
    handler = _Lines(sys.stderr)
    handler.setFormatter(JsonLines() if form == JSON else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _on_exception
    sys.unraisablehook = lambda failure: _on_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    threading.excepthook = lambda failure: _on_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    # asyncpg logs a traceback for each failure while the database is unavailable; database.py logs one line.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    logging.getLogger("yoyo").setLevel(logging.WARNING)


def _on_exception(kind: Any, failure: Any, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, failure, traceback)
    else:
        log.error("unforeseen failure", exc_info=(kind, failure, traceback))
