"""Sessions: people see where they are signed in and end it; staff see and end those of any account (security 25)."""

from typing import Any

from aiohttp import web

from server.accounts import sessions
from server.database.ids import read_uuid
from server.errors import NotFound
from server.web.app_keys import DB, DEVICES
from server.web.clients import source_of
from server.web.endpoints import Endpoints
from server.web.guards import me, only_self_or_staff
from server.web.paging import rows_response
from server.web.queries import read_query
from server.web.representations import session_object
from server.web.schemas.sessions import Session, SessionQuery, SessionsOfQuery

endpoints = Endpoints("sessions")


@endpoints.get("/auth/sessions/", query=SessionQuery, response=Session, many=True, errors=(NotFound,))
async def list_sessions(request: web.Request) -> Any:
    """List where you are signed in, the session used last first; staff list the sessions of any account."""
    asked, caller = read_query(request), me(request)
    user_id = _account(request, asked)
    rows = await request.app[DB].rows("sessions/list", user_id, asked["before"], asked["before_id"], asked["limit"] + 1)
    devices = await request.app[DEVICES].in_words([row["device"] for row in rows])
    objects = [
        session_object(row, device, is_current=row["id"] == caller.session_id)
        for row, device in zip(rows, devices, strict=True)
    ]
    return rows_response(request, objects, limit=asked["limit"], place=_place)


@endpoints.delete("/auth/sessions/", query=SessionsOfQuery, status=204, errors=(NotFound,))
async def end_other_sessions(request: web.Request) -> None:
    """End all your sessions and your API token, but what this request uses; staff end all of any account."""
    user_id, caller = _account(request, read_query(request)), me(request)
    await sessions.end_all(
        request.app[DB],
        user_id,
        # The session of staff belongs to another account: nothing is kept of the one that is named.
        kept_session=caller.session_id,
        keeps_api_token=caller.session_id is None and caller.id == user_id,
        source=source_of(request),
    )


@endpoints.delete("/auth/sessions/{session}/", status=204)
async def end_session(request: web.Request) -> None:
    """End a session of yours; staff end any. Its tokens are refused at once."""
    session_id = read_uuid(request.match_info["session"])
    if session_id is None:
        raise NotFound
    user_id = None if me(request).is_staff else me(request).id
    await sessions.end(request.app[DB], session_id, user_id=user_id, source=source_of(request))


def _place(session: dict[str, Any]) -> dict[str, str]:
    """The query of the page that begins after a session object."""
    # Sessions that one statement noted have the same time: their ids tell them apart.
    return {"before": f"{session['last_used_on']:%Y-%m-%dT%H:%M:%S.%fZ}", "before_id": session["id"]}


def _account(request: web.Request, asked: dict[str, Any]) -> int:
    """The account whose sessions are asked for, by default the caller's. Raises NotFound or Forbidden."""
    user_id: int = me(request).id if asked["user"] is None else asked["user"]
    only_self_or_staff(request, user_id)
    return user_id
