"""Request bodies in three media types: limited, parsed, and read by a schema (contract 1.2)."""

import asyncio
import contextlib
import functools
import json
import math
import time
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from marshmallow import Schema, ValidationError
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from server.errors import FieldErrors, ParseError, RequestTimeout, UnsupportedEncoding, UnsupportedMediaType
from server.web.authentication import identify_again
from server.web.endpoints import MEDIA_TYPES, endpoint_of
from server.web.schemas.account_fields import AccountValue
from server.web.schemas.fields import Flag, NestedObject, not_an_object
from server.web.schemas.role_fields import RoleFields

BODY_MAX_BYTES = 1024 * 1024
FORM_MAX_FIELDS = 1000
NUMBER_MAX_DIGITS = 64  # of a number in JSON: no field needs more
BODY_READ_SECONDS = 30.0
STALE_IDENTITY_SECONDS = 1.0  # after a longer wait for the body the identity is read again

JSON, URLENCODED, MULTIPART = MEDIA_TYPES


async def read_body(request: web.Request, schema: type[Schema] | None = None) -> dict[str, Any]:
    """Read the body: its fields, in the types of `schema`, or of the body schema that the endpoint declares.

    Raises FieldErrors, ParseError, UnsupportedMediaType, UnsupportedEncoding, RequestTimeout, and aiohttp's error for
    more than BODY_MAX_BYTES. Raises a 401 when the body was slow and the session has ended meanwhile.
    """
    reader = instance(schema or endpoint_of(request.match_info.handler).body)
    raw = await _read(request)
    media_type = _media_type(request) if raw else JSON
    data = _parse(request, media_type, raw) if raw else {}
    if data is None:
        raise FieldErrors({"non_field_errors": ["No data provided"]})
    if not isinstance(data, dict):
        raise FieldErrors({"non_field_errors": [not_an_object(data)]})
    if raw and media_type != JSON:
        data = _from_form(reader, data, whole=request.method in (hdrs.METH_PUT, hdrs.METH_POST))
    fields = load(reader, data)
    if media_type == JSON:
        _refuse_surrogates(raw, data)
    return fields


@functools.cache
def instance(schema: type[Schema]) -> Schema:
    """The one instance of a schema. Making an instance copies every field: a fifth of the time of a short request."""
    return schema()


async def _read(request: web.Request) -> bytes:
    if request.content.is_eof():  # short bodies arrive together with the head
        return await request.read()
    began = time.monotonic()
    try:
        async with asyncio.timeout(BODY_READ_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise RequestTimeout from None
    if time.monotonic() - began >= STALE_IDENTITY_SECONDS:
        await identify_again(request)
    return raw


def load(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """Read `data` by `schema`. Raises FieldErrors, which also has the fields that have no fault."""
    try:
        fields: dict[str, Any] = schema.load(data)
    except ValidationError as failure:
        raise FieldErrors(failure.messages_dict, cast("dict[str, Any]", failure.valid_data)) from None
    return fields


def _media_type(request: web.Request) -> str:
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedEncoding(encoding)
    given = request.headers.get(hdrs.CONTENT_TYPE, "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        raise UnsupportedMediaType(given)
    return media_type


def _parse(request: web.Request, media_type: str, raw: bytes) -> Any:
    if media_type == JSON:
        return _json(raw)
    if media_type == URLENCODED:
        return _form(raw)
    return _multipart(request.headers[hdrs.CONTENT_TYPE], raw)


def _json(raw: bytes) -> Any:
    try:
        return _decoder.decode(raw.decode())
    except RecursionError:
        raise ParseError("JSON parse error - Too deeply nested") from None
    except ValueError as failure:
        raise ParseError(f"JSON parse error - {failure}") from None


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


def _refuse_surrogates(raw: bytes, data: Any) -> None:
    """Raises ParseError for lone surrogates in keys and unknown fields; known fields have refused theirs."""
    if b"\\u" not in raw:
        return
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ParseError("JSON parse error - Surrogate characters are not allowed") from None
    except RecursionError:  # json.dumps nests less deeply than the decoder
        raise ParseError("JSON parse error - Too deeply nested") from None


def _form(raw: bytes) -> dict[str, Any]:
    try:
        # dict() keeps the last of a repeated key (contract 1.2).
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_MAX_FIELDS))
    except ValueError as failure:
        raise ParseError(f"Form parse error - {failure}") from None


def _from_form(schema: Schema, given: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Add what a form cannot express: an unticked box is false, dotted names and JSON text are objects.

    `whole`: an absent flag means false, as in PUT and POST (contract 3.3).
    """
    data = dict(given)
    for name, field in schema.fields.items():
        if isinstance(field, Flag) and _is_blank(given.get(name)):
            del data[name]  # a blank flag leaves it as it is (contract 12)
        elif isinstance(field, Flag) and whole:
            data.setdefault(name, "false")
        elif isinstance(field, NestedObject):
            parts = {key.removeprefix(f"{name}."): value for key, value in given.items() if key.startswith(f"{name}.")}
            if parts:
                data[name] = _from_form(field.schema, parts, whole=whole)
        elif isinstance(field, AccountValue) and field.is_flag and _is_blank(given.get(name)):
            del data[name]
        elif isinstance(field, AccountValue) and field.is_flag and whole and not field.keeps_absent:
            data.setdefault(name, "false")
        elif isinstance(given.get(name), str) and (
            isinstance(field, RoleFields) or (isinstance(field, AccountValue) and field.declared.is_structure)
        ):
            with contextlib.suppress(ParseError):  # the field itself refuses the text
                data[name] = _json(given[name].encode(errors="surrogatepass"))
    return data


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _multipart(content_type: str, raw: bytes) -> dict[str, Any]:
    _, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 70:  # RFC 2046 §5.1.1
        raise ParseError("Multipart form parse error - Invalid boundary")
    fields: dict[str, Any] = {}
    try:
        with PushMultipartParser(boundary, max_segment_count=FORM_MAX_FIELDS, strict=True) as parser:
            for event in parser.parse(raw):
                if isinstance(event, MultipartSegment):
                    segment, chunks = event, bytearray()
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
