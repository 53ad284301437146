"""Sign-in opens a session, refresh needs it, sign-out ends it. The Authorization header is ignored (contract 1.6)."""

from typing import Any

from aiohttp import web

from server.accounts import sessions as account_sessions
from server.accounts import sign_in as accounts
from server.auth import sessions
from server.auth.tokens import ACCESS, REFRESH, Claims
from server.errors import NoActiveAccount, TokenNotValid, TooManyRequests
from server.web.app_keys import ADOPTION, DB, LIMITS, PASSWORDS, SESSION_USES, SETTINGS, TOKENS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.schemas import by_settings
from server.web.schemas.objects import Nothing, Refresh, TokenPair, Verify

endpoints = Endpoints("sign-in", other_methods=Access.ANONYMOUS)


@endpoints.post(
    "/auth/jwt/create/",
    access=Access.ANONYMOUS,
    body=by_settings.sign_in,
    response=TokenPair,
    errors=(NoActiveAccount, TooManyRequests),
)
async def sign_in(request: web.Request) -> Any:
    """Sign in: exchange a username and password for an access and a refresh token."""
    settings, db = request.app[SETTINGS], request.app[DB]
    given = await read_body(request)
    limits, source, login = request.app[LIMITS], source_of(request), given[by_settings.login(settings)]
    credentials = await accounts.check_credentials(
        db, request.app[PASSWORDS], limits, login, given["password"], settings=settings, source=source
    )
    opened = await accounts.open_session(
        db, limits, credentials, settings=settings, source=source, role=given.get("role")
    )
    tokens, display = request.app[TOKENS], _display_claims(request, opened.role)
    return {
        "refresh": tokens.issue(REFRESH, credentials.user_id, opened.session_id, display),
        "access": tokens.issue(ACCESS, credentials.user_id, opened.session_id, display),
    }


@endpoints.post(
    "/auth/jwt/refresh/",
    access=Access.ANONYMOUS,
    body=Refresh,
    response=by_settings.refreshed,
    errors=(TokenNotValid,),
)
async def refresh_access_token(request: web.Request) -> Any:
    """Get a new access token, until the session ends; with REFRESH_ROTATION also the next refresh token."""
    given = await read_body(request)
    settings, tokens = request.app[SETTINGS], request.app[TOKENS]
    claims = await _read(request, given["refresh"], REFRESH)
    if settings.refresh_rotation:
        return await _rotate(request, claims)
    identity = await sessions.require_present_token(request.app[DB], claims, grace=settings.refresh_grace)
    request.app[SESSION_USES].note(claims.session_id, claims.user_id)
    display = _display_claims(request, identity.role)
    return {"access": tokens.issue(ACCESS, identity.id, claims.session_id, display)}


async def _rotate(request: web.Request, claims: Claims) -> dict[str, str]:
    """A new access token and the present refresh token, the same for callers that come at once (security 20)."""
    settings, tokens = request.app[SETTINGS], request.app[TOKENS]
    present = await account_sessions.rotate(request.app[DB], claims, settings=settings, source=source_of(request))
    display = _display_claims(request, present.role)
    return {
        "access": tokens.issue(ACCESS, claims.user_id, claims.session_id, display),
        "refresh": tokens.issue_successor(
            claims.user_id,
            claims.session_id,
            present.rotation,
            issued=present.issued.timestamp(),
            expires=present.expires.timestamp(),
            display=display,
        ),
    }


@endpoints.post("/auth/jwt/verify/", access=Access.ANONYMOUS, body=Verify, response=Nothing, errors=(TokenNotValid,))
async def verify_token(request: web.Request) -> Any:
    """Check whether a token would be accepted: an access token by a protected route, a refresh token by refresh."""
    given = await read_body(request)
    db, claims = request.app[DB], await _read(request, given["token"], ACCESS, REFRESH)
    if claims.kind == REFRESH:
        await sessions.require_present_token(db, claims, grace=request.app[SETTINGS].refresh_grace)
    else:
        await sessions.require_live_session(db, claims)
    return {}


@endpoints.post(
    "/auth/jwt/blacklist/", access=Access.ANONYMOUS, body=Refresh, response=Nothing, errors=(TokenNotValid,)
)
async def sign_out(request: web.Request) -> Any:
    """Sign out: end the session of a refresh token, with every token that belongs to it."""
    given = await read_body(request)
    claims = await _read(request, given["refresh"], REFRESH)
    await accounts.sign_out(request.app[DB], claims, source=source_of(request))
    return {}


async def _read(request: web.Request, token: str, *kinds: str) -> Claims:
    """The claims of a token of one of `kinds`; with ADOPT_SIMPLEJWT also of a refresh token of the site before.

    Raises TokenNotValid.
    """
    try:
        return request.app[TOKENS].read(token, *kinds)
    except TokenNotValid:
        claims = await request.app[ADOPTION].read(request.app[DB], token, source=source_of(request))
        if claims is None:
            raise
        return claims


def _display_claims(request: web.Request, role: str | None) -> dict[str, str | None]:
    """Claims that front ends may show; no request is authorised by them (contract 12)."""
    return {"role": role} if request.app[SETTINGS].roles else {}
