"""The API token: one string that signs in until its owner logs out or changes the password (contract 11.23)."""

from typing import Any

from aiohttp import web

from server.auth.sessions import check_credentials
from server.errors import FieldErrors, NoActiveAccount
from server.web.app_keys import API_TOKENS, DB, PASSWORDS, SETTINGS
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints
from server.web.guards import me
from server.web.schemas import by_settings
from server.web.schemas.objects import AuthToken

endpoints = Endpoints("API token")


class InvalidCredentials(FieldErrors):
    """Login failed: 400, not 401; the response does not say which part was wrong (contract 2)."""

    def __init__(self) -> None:
        super().__init__({"non_field_errors": ["Unable to log in with provided credentials."]})


@endpoints.post(
    "/auth/token/login/",
    access=Access.PUBLIC,
    other_methods=Access.PUBLIC,
    body=by_settings.token_login,
    response=AuthToken,
)
async def log_in(request: web.Request) -> Any:
    """Get your API token; it is the same each time, until you log out."""
    db, settings = request.app[DB], request.app[SETTINGS]
    given = await read_body(request)
    login, password = given.get(by_settings.login(settings), ""), given.get("password", "")
    try:
        credentials = await check_credentials(db, request.app[PASSWORDS], login, password, settings.login_field)
        return {"auth_token": await request.app[API_TOKENS].log_in(db, credentials)}
    except NoActiveAccount:
        raise InvalidCredentials from None


@endpoints.post("/auth/token/logout/", status=204)
async def log_out(request: web.Request) -> None:
    """End your API token; the next login makes another. With an access token of a session, that session ends, too."""
    identity = me(request)
    async with request.app[DB].transaction() as transaction:
        if identity.session_id is not None:
            await transaction.row("sessions/end", identity.session_id, identity.id)
        await transaction.row("api_tokens/end", identity.id)
