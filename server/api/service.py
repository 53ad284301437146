"""What operators and explorers ask: is it alive, is it ready, where does it begin."""

from typing import Any

import asyncpg
from aiohttp import web

from server import migrate
from server.errors import Unavailable
from server.web.endpoints import Access, Endpoints
from server.web.parts import DB
from server.web.schemas import Health, Root

endpoints = Endpoints("service", otherwise=Access.ANONYMOUS)


@endpoints.get("/auth/", access=Access.PUBLIC, answers=Root)
async def root(request: web.Request) -> Any:
    """Show where the accounts are."""
    return {"users": str(request.url.origin() / "auth/users/")}


@endpoints.get("/healthz", access=Access.ANONYMOUS, answers=Health)
async def health(request: web.Request) -> Any:
    """Tell that the process answers. Asks no database."""
    return {"status": "ok"}


@endpoints.get("/readyz", access=Access.ANONYMOUS, answers=Health, raises=(Unavailable,))
async def readiness(request: web.Request) -> Any:
    """Tell whether requests can be served: the database answers and has every migration."""
    try:
        applied = {row["name"] for row in await request.app[DB].rows("schema/applied")}
    except asyncpg.UndefinedTableError:
        applied = set()
    pending = [name for name in migrate.names() if name not in applied]
    if pending:
        raise Unavailable(f"Migrations are pending: {', '.join(pending)}")
    return {"status": "ok"}
