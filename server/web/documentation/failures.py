"""The failures of an operation in the document: each status with its body, its headers and an example of each cause.

The examples are what the service says: errors are made, and schemas are asked.
"""

from collections.abc import Iterator
from typing import Any

from marshmallow import Schema

from server.errors import (
    AccessTokenNotValid,
    BadRequest,
    FieldErrors,
    Forbidden,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    ParseError,
    Problem,
    RequestTimeout,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from server.web.endpoints import Access, Endpoint

_TEXTS = {"type": "array", "items": {"type": "string"}}
COMPONENTS: dict[str, dict[str, Any]] = {
    "ApiError": {
        "type": "object",
        "description": "What went wrong; token errors also have a code.",
        "required": ["detail"],
        "properties": {
            "detail": {"type": "string"},
            "code": {"type": "string", "description": "For programs, such as `token_not_valid`."},
            "messages": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
        "additionalProperties": False,
    },
    "FieldErrors": {
        "type": "object",
        "description": "Texts by field, nested like the fields; texts for a whole object under `non_field_errors`.",
        "additionalProperties": {"anyOf": [_TEXTS, {"$ref": "#/components/schemas/FieldErrors"}]},
    },
}
_ERROR = {"$ref": "#/components/schemas/ApiError"}
_FIELDS = {"anyOf": [{"$ref": "#/components/schemas/FieldErrors"}, _ERROR, _TEXTS]}

_DESCRIPTIONS = {
    400: "The request has faults.",
    401: "Credentials are missing or not valid.",
    403: "The caller may not do this.",
    404: "It does not exist, or the caller may not know that it does.",
    406: "The Accept header excludes JSON.",
    408: "The body did not arrive in time.",
    409: "It exists already.",
    413: "The body is larger than {endpoint.body_max_bytes} bytes.",
    415: "The media type or the encoding of the body is not supported.",
    429: "A limit is used up: too many tries of this account, address or network.",
    503: "The database is unavailable, or a queue is full.",
}

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
EVERY_RESPONSE = {
    "Allow": {**_TEXT, "required": True, "description": "The methods of this path."},
    "X-Request-ID": {**_TEXT, "required": True, "description": "The id of this request in the log."},
}
_HEADERS: dict[int, dict[str, Any]] = {
    400: {},  # malformed HTTP is refused before the path is known
    # No Allow: an unknown path has no methods, and a path with an id that is not a number is unknown.
    404: {"X-Request-ID": EVERY_RESPONSE["X-Request-ID"]},
    401: EVERY_RESPONSE | {"WWW-Authenticate": {**_TEXT, "required": True, "description": "RFC 6750, section 3."}},
    429: EVERY_RESPONSE
    | {
        "Retry-After": {**_TEXT, "required": True, "description": "Seconds."},
        "RateLimit-Policy": {**_TEXT, "required": True, "description": "A limit: uses `q` in seconds `w`."},
        "RateLimit": {
            **_TEXT,
            "required": True,
            "description": "Uses left `r`, seconds `t` until more.",
        },
    },
    503: EVERY_RESPONSE | {"Retry-After": {**_TEXT, "required": True, "description": "Seconds."}},
}


def failures(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """The responses of an endpoint that are failures, by status."""
    by_status: dict[int, list[Problem]] = {}
    for problem in _problems(endpoint):
        by_status.setdefault(problem.status, []).append(problem)
    return {str(status): _response(status, by_status[status], endpoint) for status in sorted(by_status)}


def _problems(endpoint: Endpoint) -> Iterator[Problem]:
    """An example of each cause: first what every endpoint of its kind refuses, then its own errors."""
    read = [schema for schema in (endpoint.query, endpoint.body) if schema]
    yield from (FieldErrors(_faults(schema)) for schema in read[:1])
    yield ParseError("JSON parse error - unexpected end of data") if endpoint.body else BadRequest()
    yield NotAcceptable()
    if endpoint.access in (Access.SIGNED_IN, Access.STAFF):
        yield NotAuthenticated()
    if endpoint.access is not Access.ANONYMOUS:
        yield AccessTokenNotValid("Token is expired")
    if endpoint.access is Access.STAFF:
        yield Forbidden()
    if "{" in endpoint.path and not any(issubclass(error, NotFound) for error in endpoint.errors):
        yield NotFound()
    if endpoint.body:
        yield from (RequestTimeout(), TooLarge(), UnsupportedMediaType("text/plain"))
    if endpoint.access is not Access.ANONYMOUS or endpoint.body:
        yield Unavailable()
    for error in endpoint.errors:
        yield TooManyRequests(seconds=88) if error is TooManyRequests else error()


def _faults(schema: type[Schema]) -> dict[str, Any]:
    """The texts for an object without its required fields, or else for one whose fields have no good values."""
    names = schema().fields
    tries: list[dict[str, Any]] = [{}, dict.fromkeys(names, "?"), dict.fromkeys(names, 0.5)]
    return next(filter(None, map(schema().validate, tries)), {})


def _response(status: int, problems: list[Problem], endpoint: Endpoint) -> dict[str, Any]:
    description = _DESCRIPTIONS[status].format(endpoint=endpoint)
    response: dict[str, Any] = {"description": description, "headers": _HEADERS.get(status, EVERY_RESPONSE)}
    if not all(problem.has_body for problem in problems):
        return response | {"description": f"{description} It may have no body."}
    examples = {type(problem).__name__: _example(problem) for problem in problems}
    content = {"schema": _FIELDS if status == 400 else _ERROR, "examples": examples}
    return response | {"content": {"application/json": content}}


def _example(problem: Problem) -> dict[str, Any]:
    summary = (type(problem).__doc__ or "").strip().partition("\n")[0]
    return {"summary": summary.rstrip("."), "value": problem.body}
