"""`create_app` puts the house together: the only place that knows all of it."""

import asyncio
import contextlib
import functools
import gc
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.api import activation, passwords, profiles, roles, service, signin, tokens, usernames, users
from server.auth.api_tokens import ApiTokens
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.auth.tokens import Tokens
from server.database.database import BATCH_CONNECTIONS, POOL, Database
from server.errors import Problem
from server.mail.letters import Letters
from server.mail.sender import LetterSender
from server.settings.settings import Settings
from server.settings.values import cores
from server.telemetry.metrics import Metrics
from server.templates import Templates
from server.web import bodies
from server.web.app_keys import (
    API_TOKENS,
    DB,
    LETTER_SENDER,
    LETTERS,
    ONE_TIME_TOKENS,
    PASSWORDS,
    SETTINGS,
    STOPPING,
    TEMPLATES,
    TOKENS,
)
from server.web.authentication import access
from server.web.cors import cors, preflight
from server.web.documentation import endpoints
from server.web.endpoints import install
from server.web.html_pages import pages
from server.web.middleware import errors
from server.web.protocol import Runner
from server.web.schemas.objects import Registration

log = logging.getLogger(__name__)

NOUNS = (users, activation, passwords, usernames, signin, tokens, profiles, roles, service)
TABLES = tuple(noun.endpoints for noun in NOUNS)

SWEEP_SECONDS = 600
REVIVE_SECONDS = 0.5  # between two looks at a database that may have died
SWEEP_ROWS = 1000
STOP_SECONDS = 8.0  # for requests under way, bodies that still arrive included; docker kills after 10
LEAVE_SECONDS = 1.0  # of them, for connections to be used once more, and told that it was the last time
CUT_SECONDS = 0.1  # for what is cancelled after that
BACKLOG = 1024
CONNECTIONS = 80  # to the database, of all workers together: PostgreSQL takes 100 unless told otherwise
KEEPALIVE_SECONDS = 75.0  # also the longest that the headers of a first request may take


class CannotListen(Exception):
    """The port cannot be opened; the text says which and why."""


def create_app(
    settings: Settings, revive: Callable[[], bool] | None = None, metrics: Metrics | None = None
) -> web.Application:
    """The whole service for `settings`, whose `database_url` and `signing_key` are set by now.

    `revive` starts the bundled database again if it died; it blocks, and runs in a thread. `metrics` counts for it.
    """
    middlewares: list[Middleware] = [errors, access]
    if settings.cors_origins:
        middlewares = [cors(settings.cors_origins), errors, preflight, access]
    app = web.Application(middlewares=middlewares, client_max_size=bodies.BODY_MAX_BYTES)
    app[SETTINGS] = settings
    app[STOPPING] = asyncio.Event()
    app[PASSWORDS] = Passwords(
        settings.bcrypt_rounds, threads=max(1, cores() // settings.workers), metrics=metrics or Metrics.alone()
    )
    app[TOKENS] = Tokens(
        settings.signing_key,
        access_lifetime=settings.access_lifetime,
        refresh_lifetime=settings.refresh_lifetime,
    )
    app[API_TOKENS] = ApiTokens(settings.signing_key)
    app[ONE_TIME_TOKENS] = OneTimeTokens(settings.signing_key, lifetime=settings.password_reset_timeout)
    app[LETTERS] = Letters(app[ONE_TIME_TOKENS])
    app[TEMPLATES] = Templates(settings.templates_dir)
    app[LETTER_SENDER] = LetterSender.of(settings, app[TEMPLATES])
    app.cleanup_ctx.extend([_database, _hashing, _beside(_sweep), _letters])
    if revive is not None:
        app.cleanup_ctx.append(_beside(functools.partial(_revive, revive)))
    install(app, [*TABLES, endpoints.endpoints, pages.endpoints])
    endpoints.describe(app)
    return app


def read_registration(username: str, password: str, email: str) -> dict[str, Any]:
    """The fields of a new account, checked as registration checks them. Raises FieldErrors."""
    return bodies.load(Registration(), {"username": username, "password": password, "email": email})


def document(app: web.Application) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    return endpoints.document(app)


def runner(app: web.Application) -> Runner:
    """What serves `app`."""
    return Runner(
        app,
        access_log=None,
        shutdown_timeout=CUT_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        auto_decompress=False,  # of a body that nobody wanted aiohttp would unpack a gigabyte, to throw it away
    )


def settle() -> None:
    """Let the garbage collector leave in peace what start-up made, and come less often for the rest.

    Its full rounds over the start-up's objects stopped everybody for 40 ms; a round for every 700 new objects took a
    tenth of the time of a short request, and found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


async def listen(running: Runner) -> str:
    """Open the port of the settings; the URL at which the service is to be found. Raises CannotListen."""
    settings = running.app[SETTINGS]
    site = web.TCPSite(running, settings.host, settings.port, backlog=BACKLOG)
    try:
        await site.start()
    except OSError as failure:
        raise CannotListen(f"HOST {settings.host}, PORT {settings.port}: {failure.strerror}") from None
    return url_of(running.addresses[0])


def url_of(address: tuple[Any, ...]) -> str:
    """The URL of a socket's address."""
    host, port = address[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def create_metrics_app(metrics: Metrics) -> web.Application:
    """What shows `metrics`, at an address of its own: a proxy on this machine would make everybody a neighbour."""

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", show)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    workers = app[SETTINGS].workers
    # One of several that comes while the database is away answers 503 for its share of the callers, until it is back.
    app[DB] = await Database.connect(
        app[SETTINGS].database_url,
        connections=min(POOL + BATCH_CONNECTIONS, CONNECTIONS // workers),
        patient=workers > 1,
    )
    yield
    await app[DB].close()


async def _hashing(app: web.Application) -> AsyncIterator[None]:
    yield
    app[PASSWORDS].close()


async def _letters(app: web.Application) -> AsyncIterator[None]:
    """Letters leave until the service stops. What is under way then ends beside the last requests, not after them."""
    sending = asyncio.create_task(app[LETTER_SENDER].run(app[DB]))
    ending = asyncio.create_task(_end(sending, app[STOPPING]))
    yield
    app[STOPPING].set()
    await ending


async def _end(task: "asyncio.Task[None]", stopping: asyncio.Event) -> None:
    await stopping.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def stop(running: Runner, at_once: asyncio.Event) -> None:
    """Stop so that no request is cut: accept nobody new, tell who is connected to leave, finish what is under way.

    That may take STOP_SECONDS, or less when `at_once` is set; bytes that arrive until then are read.
    """
    for site in list(running.sites):
        await site.stop()
    running.app[STOPPING].set()
    began = time.monotonic()
    while running.connections and not at_once.is_set() and time.monotonic() < began + STOP_SECONDS:
        if time.monotonic() >= began + LEAVE_SECONDS:
            for connection in running.connections:
                connection.leave()
        await asyncio.sleep(0.01)  # aiohttp tells nobody when a connection has ended
    await running.cleanup()


def _beside(work: Callable[[Database], Coroutine[Any, Any, None]]) -> Callable[[web.Application], AsyncIterator[None]]:
    """Run `work` beside the service for as long as it serves."""

    async def context(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(work(app[DB]))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return context


async def _sweep(db: Database) -> None:
    """Remove what expired now and then, a thousand at a time; processes that sweep at once share the work."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  only to spread the processes
        try:
            for statement in ("sessions/sweep", "one_time_tokens/sweep"):
                while len(await db.rows(statement, SWEEP_ROWS)) == SWEEP_ROWS:
                    pass
        except Problem:
            log.warning("what expired was not swept: the database is away")
        except Exception:  # or nothing would ever be swept again, and nobody told
            log.exception("what expired was not swept")


async def _revive(revive: Callable[[], bool], db: Database) -> None:
    """Start the bundled database again as soon as a statement finds it gone."""
    while True:
        await db.lost.wait()
        db.lost.clear()
        try:
            if await asyncio.to_thread(revive):
                log.warning("the bundled database had died and was started again")
        except Exception:  # or it would never be started again
            log.exception("the bundled database cannot be started")
        await asyncio.sleep(REVIVE_SECONDS)
