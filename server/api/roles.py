"""Roles: what an account can be, for a front end to draw its forms from."""

from typing import Any

from aiohttp import web

from server.web.endpoints import Access, Endpoints
from server.web.parts import SETTINGS
from server.web.role_shapes import Role

endpoints = Endpoints("roles")


@endpoints.get("/api/roles/", access=Access.PUBLIC, answers=Role, many=True, is_paged=False)
async def list_roles(request: web.Request) -> Any:
    """List the roles that accounts can have, with the fields of each; none on a site without roles."""
    return list(request.app[SETTINGS].roles)
