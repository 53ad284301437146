"""`create_app` puts the service together: the only function that knows all of its parts."""

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.accounts.adoption import Adoption
from server.accounts.limits import Limits
from server.api import (
    activation,
    events,
    export,
    passwords,
    profiles,
    roles,
    service,
    sessions,
    sign_in,
    site,
    tokens,
    usernames,
    users,
)
from server.auth.api_tokens import ApiTokens
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.auth.session_uses import SessionUses
from server.auth.tokens import Tokens
from server.background import (
    note_session_uses,
    revive,
    run_while_serving,
    send_letters,
    sweep,
    watch_database,
    watch_event_loop,
)
from server.database.database import Database
from server.database.replica import Replica, hosts_of
from server.mail.letters import Letters
from server.mail.sender import LetterSender
from server.settings.settings import Settings
from server.settings.values import cores
from server.templates import Templates
from server.web.app_keys import (
    ADOPTION,
    API_TOKENS,
    DB,
    DEVICES,
    LETTER_SENDER,
    LETTERS,
    LIMITS,
    ONE_TIME_TOKENS,
    PASSWORDS,
    REPLICA,
    SESSION_USES,
    SETTINGS,
    STOPPING,
    TEMPLATES,
    TOKENS,
)
from server.web.authentication import access
from server.web.cors import cors, preflight
from server.web.devices import load_devices
from server.web.documentation import endpoints as documentation
from server.web.endpoints import LONG_BODY_MAX_BYTES, install
from server.web.html_pages import asking, pages
from server.web.html_pages.unknown_paths import unknown_paths
from server.web.middleware import errors
from server.web.traces import make_traces, with_headers

NOUNS = (
    users,
    export,
    activation,
    passwords,
    usernames,
    sign_in,
    sessions,
    tokens,
    profiles,
    roles,
    site,
    events,
    service,
)
TABLES = (*(noun.endpoints for noun in NOUNS), documentation.endpoints, pages.endpoints, asking.endpoints)


def create_app(settings: Settings, restart_database: Callable[[], bool] | None = None) -> web.Application:
    """The service for `settings`, whose `database_url` and `signing_key` are set.

    `restart_database` starts the bundled database again if it stopped; it blocks, and runs in a thread.
    """
    middlewares: list[Middleware] = [errors, unknown_paths, access]
    if settings.cors_origins:
        middlewares = [cors(settings.cors_origins), errors, preflight, unknown_paths, access]
    traces = make_traces(settings)
    if traces:
        middlewares[:0] = [traces.middleware, with_headers]
    app = web.Application(middlewares=middlewares, client_max_size=LONG_BODY_MAX_BYTES)
    if traces:
        app.cleanup_ctx.append(traces.run)
    _provide(app, settings)
    sweeping = run_while_serving(sweep(settings.events_lifetime))
    app.cleanup_ctx.extend([_devices, _database, _hashing, sweeping, note_session_uses, send_letters])
    if settings.replica_url:
        app.cleanup_ctx.append(_replica)
    if settings.metrics:
        app.cleanup_ctx.extend([run_while_serving(watch_event_loop), run_while_serving(watch_database)])
    if restart_database is not None:
        app.cleanup_ctx.append(run_while_serving(revive(restart_database)))
    install(app, TABLES)
    documentation.describe(app)
    return app


def _provide(app: web.Application, settings: Settings) -> None:
    """Put what endpoints use into the application."""
    app[SETTINGS] = settings
    app[STOPPING] = asyncio.Event()
    app[LIMITS] = Limits(settings)
    app[PASSWORDS] = Passwords(settings.bcrypt_rounds, threads=max(1, cores() // settings.workers))
    app[TOKENS] = Tokens(
        settings.signing_key,
        access_lifetime=settings.access_lifetime,
        refresh_lifetime=settings.refresh_lifetime,
        verifying_keys=settings.verifying_keys,
    )
    app[SESSION_USES] = SessionUses(settings)
    app[ADOPTION] = Adoption(settings)
    app[API_TOKENS] = ApiTokens(settings.signing_key)
    app[ONE_TIME_TOKENS] = OneTimeTokens(
        settings.signing_key, lifetime=settings.password_reset_timeout, verifying_keys=settings.verifying_keys
    )
    app[LETTERS] = Letters(app[ONE_TIME_TOKENS], notices=settings.limit_letters_address)
    app[TEMPLATES] = Templates(settings.templates_dir)
    app[LETTER_SENDER] = LetterSender.of(settings, app[TEMPLATES], app[ONE_TIME_TOKENS])


async def _devices(app: web.Application) -> AsyncIterator[None]:
    app[DEVICES] = load_devices()  # now, because it blocks: the service does not listen yet
    yield


async def _database(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[DB] = await Database.connect(
        settings.database_url,
        connections=settings.worker_connections,
        pooler=settings.database_pooler,
        # One of several workers starts without the database and responds 503 until it is reachable.
        patient=settings.workers > 1,
    )
    yield
    await app[DB].close()


async def _replica(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    app[REPLICA] = Replica(
        app[DB],
        hosts_of(settings.replica_url),
        connections=settings.worker_connections,
        pooler=settings.database_pooler,
    )
    watching = asyncio.create_task(app[REPLICA].watch())  # the start does not wait for a replica
    yield
    watching.cancel()
    await asyncio.wait([watching])
    await app[REPLICA].close()


async def _hashing(app: web.Application) -> AsyncIterator[None]:
    yield
    app[PASSWORDS].close()
