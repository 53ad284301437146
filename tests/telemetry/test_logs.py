"""A log line is one event, with the id of its request. No input can forge a line."""

import json
import logging
import re
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


# Every one of them ends a line, turns the direction of text or hides text in some program that shows a log.
NOT_PRINTABLE = [*map(chr, range(32)), *"\x7f\x85\x9b\u00ad\u200b\u2028\u2029\u202e\u2066\ufeff\udcff", "\U000e0041"]


def test_no_input_forges_a_line_of_text() -> None:
    assert "\n" not in TextLines().format(record("GET /\r\n2026-11-23 INFO all is well"))


@pytest.mark.parametrize("form", [TextLines(), JsonLines()], ids=["text", "json"])
@pytest.mark.parametrize("character", NOT_PRINTABLE, ids=ascii)
def test_everything_that_is_not_printable_is_escaped(form: logging.Formatter, character: str) -> None:
    line = form.format(record(f"a {character} b é 漢"))
    assert line.isprintable()
    assert "é 漢" in line
    assert re.search(r"a \\+(u[0-9a-f]{4}|[nrtbf]|x[0-9a-f]{2}|U[0-9a-f]{8})", line)


def test_what_json_escapes_is_the_same_when_it_is_read() -> None:
    text = "".join(NOT_PRINTABLE)
    assert json.loads(JsonLines().format(record(text)))["message"] == text


def test_no_traceback_forges_a_line_of_text() -> None:
    try:
        raise ValueError("reason\n2026-11-23T15:12:37.495Z INFO server.x all is well\u202e\r")
    except ValueError:
        failure = logging.LogRecord("server.x", logging.ERROR, "", 1, "lost", (), sys.exc_info())
    first, *rest = TextLines().format(failure).split("\n")
    assert first.endswith("lost [number-one]")
    assert [line for line in rest if not line.startswith("  ")] == []
    assert [line for line in rest if not line.isprintable()] == []


def test_a_line_of_json_is_one_object_with_the_traceback() -> None:
    line = JsonLines().format(record("lost\nfound", failure=True))
    assert "\n" not in line
    read = json.loads(line)
    assert (read["level"], read["message"], read["request_id"]) == ("ERROR", "lost\nfound", "number-one")
    assert "ValueError: reason" in read["traceback"]
