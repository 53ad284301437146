"""Events: what happened to accounts, by whom and from where. People read their own, staff read all."""

from typing import Any

from aiohttp import web

from server.errors import Forbidden
from server.web.app_keys import DB
from server.web.endpoints import Endpoints
from server.web.guards import me
from server.web.paging import rows_response
from server.web.queries import read_query
from server.web.representations import event_object
from server.web.schemas.events import Event, EventQuery

endpoints = Endpoints("events")


@endpoints.get("/api/events/", query=EventQuery, response=Event, many=True, errors=(Forbidden,))
async def list_events(request: web.Request) -> Any:
    """List events, the newest first: staff see those of all accounts, other callers their own."""
    asked, caller = read_query(request), me(request)
    account = asked["account"]
    if not caller.is_staff:
        if account not in (None, caller.id):
            raise Forbidden
        account = caller.id
    rows = await request.app[DB].rows(
        "events/list",
        asked["before"],
        account,
        asked["kind"],
        asked["since"],
        asked["until"],
        asked["limit"] + 1,
    )
    objects = [event_object(row, reader_id=caller.id, is_staff=caller.is_staff) for row in rows]
    return rows_response(request, objects, limit=asked["limit"], place=lambda last: {"before": last["id"]})
