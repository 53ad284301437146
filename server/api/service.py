"""Health and readiness for operators, and the root of the API."""

from typing import Any

import asyncpg
from aiohttp import web

from server.database import migrate
from server.errors import Unavailable
from server.web.app_keys import DB, SETTINGS
from server.web.endpoints import Access, Endpoints, placed
from server.web.schemas.objects import Health, Root

endpoints = Endpoints("service", other_methods=Access.ANONYMOUS)


@endpoints.get("/auth/", access=Access.PUBLIC, response=Root)
async def get_root(request: web.Request) -> Any:
    """Show the URL of the accounts."""
    settings = request.app[SETTINGS]
    users = placed("/auth/users/", settings)
    if settings.public_url:
        return {"users": f"{settings.public_url}{users}"}
    host = request.headers.get("Host") or "{}:{}".format(*request.get_extra_info("sockname")[:2])
    return {"users": f"{request.scheme}://{host}{users}"}


@endpoints.get("/healthz", access=Access.ANONYMOUS, response=Health)
async def get_health(request: web.Request) -> Any:
    """Report that the process responds. Does not use the database."""
    return {"status": "ok"}


@endpoints.get("/readyz", access=Access.ANONYMOUS, response=Health, errors=(Unavailable,))
async def get_readiness(request: web.Request) -> Any:
    """Report whether requests can be served: the database responds, can be changed, and has every migration."""
    db = request.app[DB]
    try:
        row = await db.row("schema/state")
    except Unavailable as failure:
        if not isinstance(failure.__cause__, asyncpg.UndefinedTableError):
            raise
        row = None
    if row and row["is_read_only"]:
        # After a failover another host is the one to write to. Without requests no change would fail and find that out.
        db.expire()
        raise Unavailable("The database can only be read.")
    applied = set(row["applied"]) if row else set()
    pending = [name for name in migrate.names() if name not in applied]
    if pending:
        raise Unavailable(f"Migrations are pending: {', '.join(pending)}")
    return {"status": "ok"}
