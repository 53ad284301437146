"""The API token: one string that signs in until its owner logs out or changes the password (contract 11.23)."""

from typing import Any

from aiohttp import web

from server.accounts import sign_in
from server.errors import FieldErrors, NoActiveAccount, TooManyRequests
from server.web.app_keys import API_TOKENS, DB, LIMITS, PASSWORDS, SETTINGS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.guards import me
from server.web.schemas import by_settings
from server.web.schemas.objects import AuthToken

endpoints = Endpoints("api-tokens")


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
    errors=(InvalidCredentials, TooManyRequests),
)
async def create_api_token(request: web.Request) -> Any:
    """Get your API token; it is the same each time, until you log out."""
    db, settings, limits, source = request.app[DB], request.app[SETTINGS], request.app[LIMITS], source_of(request)
    given = await read_body(request)
    login, password = given.get(by_settings.login(settings), ""), given.get("password", "")
    try:
        credentials = await sign_in.check_credentials(
            db, request.app[PASSWORDS], limits, login, password, settings=settings, source=source
        )
        return {"auth_token": await sign_in.log_in(db, limits, request.app[API_TOKENS], credentials, source=source)}
    except NoActiveAccount:
        raise InvalidCredentials from None


@endpoints.post("/auth/token/logout/", status=204)
async def delete_api_token(request: web.Request) -> None:
    """End your API token; the next login makes another. With an access token of a session, that session ends, too."""
    identity = me(request)
    async with request.app[DB].transaction() as transaction:
        await sign_in.log_out(transaction, identity.id, session_id=identity.session_id, source=source_of(request))
