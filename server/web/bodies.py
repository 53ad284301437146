"""Request bodies in three media types: limited, parsed, and read by a schema (contract 1.2)."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import hdrs, web
from marshmallow import Schema, ValidationError

from server.errors import (
    FieldErrors,
    ParseError,
    RequestTimeout,
    TooLarge,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from server.web.authentication import identify_again
from server.web.body_formats import parse_form, parse_json, parse_multipart, refuse_surrogates
from server.web.endpoints import BODY_MAX_BYTES, MEDIA_TYPES, endpoint_of
from server.web.schemas.account_fields import AccountValue
from server.web.schemas.fields import Flag, NestedObject, not_an_object
from server.web.schemas.role_fields import RoleFields

BODY_READ_SECONDS = 30.0
STALE_IDENTITY_SECONDS = 1.0  # after a longer wait for the body the identity is read again

JSON, URLENCODED, MULTIPART = MEDIA_TYPES

_RAW = web.RequestKey("RAW", bytes)


async def read_body(request: web.Request, schema: type[Schema] | None = None) -> dict[str, Any]:
    """Read the body: its fields, in the types of `schema`, or of the body schema that the endpoint declares.

    Raises FieldErrors, ParseError, UnsupportedMediaType, UnsupportedEncoding, RequestTimeout; TooLarge for more bytes
    than the endpoint declares; Busy when unfinished bodies of all connections take too much memory; a 401 when the body
    was slow and the session has ended meanwhile.
    """
    endpoint = endpoint_of(request.match_info.handler)
    reader = instance(schema or endpoint.body)
    raw = await _read(request, endpoint.body_max_bytes)
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
        refuse_surrogates(raw, data)
    return fields


@functools.cache
def instance(schema: type[Schema]) -> Schema:
    """The one instance of a schema. Making an instance copies every field: a fifth of the time of a short request."""
    return schema()


async def _read(request: web.Request, limit: int) -> bytes:
    if _RAW in request:
        return request[_RAW]
    if (request.content_length or 0) > limit:
        raise _too_large(request)
    if request.content.is_eof():  # short bodies arrive together with the head
        raw = request.content.read_nowait()
    else:
        began = time.monotonic()
        raw = await _wait_for_body(request, limit)
        if time.monotonic() - began >= STALE_IDENTITY_SECONDS:
            await identify_again(request)
    if len(raw) > limit:
        raise _too_large(request)
    if len(raw) <= BODY_MAX_BYTES:  # a page reads its body again to show the form again
        request[_RAW] = raw
    return raw


async def _wait_for_body(request: web.Request, limit: int) -> bytes:
    """Read the pieces of a body until its end. aiohttp's own `read` keeps a second copy until the request ends."""
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_READ_SECONDS):
            while piece := await request.content.readany():
                raw += piece
                if len(raw) > limit:
                    raise _too_large(request)
            # A reader that bytes have woken sees the end, but not a failure of the same turn of the event loop.
            if (failure := request.content.exception()) is not None:
                raise failure
    except TimeoutError:
        raise RequestTimeout from None
    except (ConnectionError, web.RequestPayloadError, RuntimeError) as failure:
        if isinstance(failure, RuntimeError) and request.transport is not None:
            raise  # else it is aiohttp's, for a client that has left
        failure.__traceback__ = None  # it holds the request, which holds the failure
        raise ParseError("The request body was cut off.") from None
    return bytes(raw)


def _too_large(request: web.Request) -> TooLarge:
    """TooLarge, unless the media type or the encoding is the first fault (contract 1.1)."""
    _media_type(request)
    return TooLarge()


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
        return parse_json(raw)
    if media_type == URLENCODED:
        return parse_form(raw)
    return parse_multipart(request.headers[hdrs.CONTENT_TYPE], raw)


def _from_form(schema: Schema, given: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Add what a form cannot express: an unticked box is false, dotted names and JSON text are objects.

    `whole`: an absent flag means false, as in PUT and POST (contract 3.3).
    """
    data = dict(given)
    for name, field in schema.fields.items():
        if isinstance(field, Flag) or (isinstance(field, AccountValue) and field.is_flag):
            if _is_blank(given.get(name)):
                del data[name]  # a blank flag leaves it as it is (contract 12)
            elif whole and not (isinstance(field, AccountValue) and field.keeps_absent):
                data.setdefault(name, "false")
        elif isinstance(field, NestedObject):
            parts = {key.removeprefix(f"{name}."): value for key, value in given.items() if key.startswith(f"{name}.")}
            if parts:
                data[name] = _from_form(field.schema, parts, whole=whole)
        elif isinstance(given.get(name), str) and (
            isinstance(field, RoleFields) or (isinstance(field, AccountValue) and field.declared.is_structure)
        ):
            with contextlib.suppress(ParseError):  # the field itself refuses the text
                data[name] = parse_json(given[name].encode(errors="surrogatepass"))
    return data


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()
