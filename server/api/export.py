"""The export of an account: everything that is held about the caller (GDPR articles 15 and 20)."""

from collections.abc import AsyncIterator

from aiohttp import web

from server.accounts.export import Pieces, export
from server.errors import TooManyRequests, UserNotFound
from server.web.app_keys import DB, LIMITS
from server.web.authentication import identify_again
from server.web.clients import source_of
from server.web.endpoints import Endpoints
from server.web.guards import me
from server.web.responses import json_download
from server.web.schemas.export import Export

endpoints = Endpoints("users")


@endpoints.get("/auth/users/me/export/", response=Export, errors=(TooManyRequests,))
async def export_me(request: web.Request) -> web.Response:
    """Download everything that is held about you, as a file.

    Sent as it is read, the newest events first: a file that does not end with `}` was cut off.
    """
    db, source, user_id = request.app[DB], source_of(request), me(request).id
    await request.app[LIMITS].take_export(db, user_id, source)
    pieces = await export(db, user_id, source=source)
    if pieces is None:
        raise UserNotFound
    return json_download(_while_signed_in(request, pieces), f"account-{user_id}.json")


async def _while_signed_in(request: web.Request, pieces: Pieces) -> AsyncIterator[bytes]:
    """The pieces until the session ends: a client may read for minutes. Raises a 401 then."""
    async for piece in pieces:
        await identify_again(request)
        yield piece
