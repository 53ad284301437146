"""The roles that an account can have, from which a front end makes its forms."""

from typing import Any

from aiohttp import web

from server.web.app_keys import SETTINGS
from server.web.endpoints import Access, Endpoints
from server.web.schemas.by_roles import Role

endpoints = Endpoints("roles")


@endpoints.get("/api/roles/", access=Access.PUBLIC, response=Role, many=True)
async def list_roles(request: web.Request) -> Any:
    """List the roles that accounts can have, with the fields of each; none on a site without roles."""
    return list(request.app[SETTINGS].roles)
