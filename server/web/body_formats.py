"""The three formats of request bodies, parsed within bounds: no body keeps the event loop for long (security 39)."""

import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from server.errors import ParseError

FORM_MAX_FIELDS = 1000
FORM_MAX_ESCAPES = 18_000  # each costs 0.2 µs; the longest description in Chinese has 16,384
FORM_LONG_BYTES = 128 * 1024
FORM_LONG_MAX_ESCAPES = 9_000  # of a longer form: what is between two escapes is copied
JSON_MAX_VALUES = 4000  # members and elements of the whole body
JSON_MAX_ESCAPES = 50_000  # backslashes
JSON_SHORT_BYTES = 4096  # a shorter body cannot have too much of anything
NUMBER_MAX_DIGITS = 64  # of a number in JSON: no field needs more
PART_MAX_HEADERS = 4  # of a field in a multipart body
PART_HEADER_MAX_BYTES = 512  # a line
MULTIPART_HEADERS_MAX_BYTES = 64 * 1024  # of all fields

_PLUS_IS_SPACE = bytes.maketrans(b"+", b" ")  # of a form; faster than replace where there are many


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text. Raises ParseError."""
    if len(raw) > JSON_SHORT_BYTES:
        _bound_json(raw)
    try:
        return _decoder.decode(raw.decode())
    except RecursionError:
        raise ParseError("JSON parse error - Too deeply nested") from None
    except ValueError as failure:
        raise ParseError(f"JSON parse error - {failure}") from None


def _bound_json(raw: bytes) -> None:
    """Raises ParseError for more values or escapes than any body needs, before objects are made of them.

    Counts only, at a gigabyte a second: a value follows a comma, or is the first one after a bracket.
    """
    if raw.count(b"\\") > JSON_MAX_ESCAPES:
        raise ParseError(f"JSON parse error - More than {JSON_MAX_ESCAPES} escapes")
    if _values(raw) <= JSON_MAX_VALUES:
        return
    # Texts have commas, too. Without escaped quotes every second piece between quotes is a text.
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = plain.split(b'"', 4 * JSON_MAX_VALUES)  # two quotes a text; a name and a text a member
    if len(pieces) > 4 * JSON_MAX_VALUES or sum(map(_values, pieces[::2])) > JSON_MAX_VALUES:
        raise ParseError(f"JSON parse error - More than {JSON_MAX_VALUES} values")


def _values(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("Duplicate keys in an object")
    return table


def _integer(digits: str) -> int:
    if len(digits) > NUMBER_MAX_DIGITS:
        raise ValueError(f"Numbers have at most {NUMBER_MAX_DIGITS} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > NUMBER_MAX_DIGITS:
        raise ValueError(f"Numbers have at most {NUMBER_MAX_DIGITS} digits")
    number = float(digits)
    if math.isinf(number):
        raise ValueError("Number out of range")
    return number


def _constant(word: str) -> Any:
    raise ValueError(f"Out of range float values are not JSON compliant: {word!r}")


_decoder = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)


def refuse_surrogates(raw: bytes, data: Any) -> None:
    """Raises ParseError for lone surrogates in keys and unknown fields; known fields have refused theirs."""
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return
    left = [data]
    try:
        while left:
            value = left.pop()
            if isinstance(value, dict):
                left += value
                left += value.values()
            elif isinstance(value, list):
                left += value
            elif isinstance(value, str) and not value.isascii():
                value.encode()
    except UnicodeEncodeError:
        raise ParseError("JSON parse error - Surrogate characters are not allowed") from None


def parse_form(raw: bytes) -> dict[str, Any]:
    """The fields of a form. Raises ParseError."""
    most = FORM_MAX_ESCAPES if len(raw) <= FORM_LONG_BYTES else FORM_LONG_MAX_ESCAPES
    if raw.count(b"%") > most:
        raise ParseError(f"Form parse error - More than {most} escaped bytes: send multipart/form-data")
    try:
        # dict() keeps the last of a repeated key (contract 1.2).
        return dict(_form_fields(raw))
    except ValueError as failure:
        raise ParseError(f"Form parse error - {failure}") from None


def _form_fields(raw: bytes) -> Iterator[tuple[str, str]]:
    """Names and values, as urllib's parse_qsl has them; that takes 19 ms where escapes and letters take turns."""
    if raw.count(b"&") >= FORM_MAX_FIELDS:
        raise ValueError("Max number of fields exceeded")
    for pair in raw.translate(_PLUS_IS_SPACE).split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            yield unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()


def parse_multipart(content_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a multipart body; a file is bytes. Raises ParseError."""
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 70:  # RFC 2046 §5.1.1
        raise ParseError("Multipart form parse error - Invalid boundary")
    fields: dict[str, Any] = {}
    header_bytes = 0
    try:
        with _parser(boundary) as parser:
            for event in parser.parse(raw):
                if isinstance(event, MultipartSegment):
                    segment, chunks = event, bytearray()
                    header_bytes += sum(len(name) + len(value) for name, value in segment.headerlist)
                    if header_bytes > MULTIPART_HEADERS_MAX_BYTES:
                        raise MultipartError("The headers of all fields are too long")
                elif event is None:
                    fields[segment.name] = _value(segment, bytes(chunks))
                else:
                    chunks += event
    except (MultipartError, ValueError) as failure:
        # A UnicodeError would quote the bytes of the body in the text of the fault.
        is_binary = any(isinstance(each, UnicodeError) for each in (failure, *failure.args))
        fault = "Names and values are UTF-8" if is_binary else failure
        raise ParseError(f"Multipart form parse error - {fault}") from None
    return fields


def _value(segment: MultipartSegment, content: bytes) -> str | bytes:
    # A file stays bytes, and every field refuses bytes.
    return content if segment.filename is not None else content.decode()


def _parser(boundary: str) -> Any:
    return PushMultipartParser(
        boundary,
        max_segment_count=FORM_MAX_FIELDS,
        max_header_count=PART_MAX_HEADERS,
        max_header_size=PART_HEADER_MAX_BYTES,
        strict=True,
    )
