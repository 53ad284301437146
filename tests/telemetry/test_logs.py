"""A log line is one event, with the id of its request. No input can forge a line."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from server.telemetry.logs import JsonLines, TextLines, request_id


@pytest.fixture(autouse=True)
def _in_a_request() -> Iterator[None]:
    token = request_id.set("number-one")
    yield
    request_id.reset(token)


def record(message: str, failure: bool = False) -> logging.LogRecord:
    try:
        raise ValueError("reason")
    except ValueError:
        return logging.LogRecord("server.x", logging.ERROR, "", 1, message, (), sys.exc_info() if failure else None)


def test_a_line_of_text_has_the_request_id() -> None:
    assert TextLines().format(record("lost")).endswith(" ERROR server.x lost [number-one]")


def test_no_input_forges_a_line_of_text() -> None:
    assert "\n" not in TextLines().format(record("GET /\r\n2026-11-23 INFO all is well"))


def test_a_line_of_json_is_one_object_with_the_traceback() -> None:
    line = JsonLines().format(record("lost\nfound", failure=True))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["message"], read["request_id"]) == ("ERROR", "lost\nfound", "number-one")
    assert "ValueError: reason" in read["traceback"]
