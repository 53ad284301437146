"""The log as it is written with LOG_FORMAT=json."""

import json
import logging
from typing import Any

import pytest

from server.telemetry.logs import JsonLines


def written(caplog: pytest.LogCaptureFixture) -> str:
    """Every line of the log, with its fields and tracebacks, which `caplog.text` lacks."""
    return "\n".join(map(JsonLines().format, caplog.records))


def lines(caplog: pytest.LogCaptureFixture, logger: str = "") -> list[dict[str, Any]]:
    """The lines of a logger, read; of all of them without a name."""
    return [json.loads(line) for line in map(JsonLines().format, _of(caplog, logger))]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages of the lines that are an ERROR."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def _of(caplog: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if logger in ("", record.name)]
