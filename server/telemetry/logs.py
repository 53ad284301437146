"""One line per event, as text or JSON, with the id of the request it belongs to; never a password, token or link."""

import contextvars
import itertools
import logging
import secrets
import sys
from datetime import UTC, datetime

import orjson

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
# Unique is all that an id must be; random bytes for each would take a tenth of a short request's time.
_PROCESS = secrets.token_hex(5)
_numbers = itertools.count(1)


def new_id() -> str:
    """An id for a request that brought none."""
    return f"{_PROCESS}-{next(_numbers):x}"


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextLines(logging.Formatter):
    """`2026-11-23T15:12:37.495Z WARNING server.db message [request id]`, a traceback below it if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; line breaks in the message are escaped, so that no input forges a line."""
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_moment(record)} {record.levelname} {record.name} {message}"
        if request_id.get():
            line += f" [{request_id.get()}]"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request_id and traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def start_logging(form: str) -> None:
    """Send every log record to standard error in `form` ("text" or "json")."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("asyncpg").setLevel(
        logging.ERROR
    )  # it shows a traceback while the database is away; database.py a line
    logging.getLogger("yoyo").setLevel(logging.WARNING)
