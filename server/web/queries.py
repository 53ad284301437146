"""Query strings, read by the schema that an endpoint declares."""

from typing import Any

from aiohttp import web

from server.web.bodies import instance, load
from server.web.endpoints import endpoint_of


def read_query(request: web.Request) -> dict[str, Any]:
    """The query parameters that the endpoint declares, in their types; of a repeated parameter the first counts.

    Unknown parameters are ignored (contract 11.26). Raises FieldErrors for wrong values.
    """
    schema = endpoint_of(request.match_info.handler).query
    assert schema is not None, "the endpoint declares no query schema"
    return load(instance(schema), request.query)
