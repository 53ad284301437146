"""Drills on the connection to the database: reset, refused, silent, slow."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg

from server.postgres.bundled import attach
from tests.drill.drills import Scene, drill
from tests.drill.ledger import Ledger
from tests.drill.proxy import Proxy

BACK_WITHIN_SECONDS = 40.0  # several starts of Python on a busy machine, or a recovery of PostgreSQL
SILENT_SECONDS = 20  # longer than every time limit of a statement
DELAYS = (0.02, 0.2)


@contextlib.asynccontextmanager
async def _behind_proxy(scene: Scene) -> AsyncIterator[tuple[Proxy, Ledger]]:
    """A service whose connections to PostgreSQL go through a proxy, and clients that write."""
    share = attach(scene.data, say=lambda text: None)
    try:
        socket_path = next(Path(share.socket_dir).glob(".s.PGSQL.[0-9]*[0-9]"))
        async with Proxy(socket_path) as proxy:
            url = f"postgresql://frontdesk@127.0.0.1:{proxy.port}/frontdesk?sslmode=disable"
            # The proxy runs in this loop, so the start of the service must not block it.
            started = scene.service(url)
            service = await asyncio.to_thread(started.__enter__)
            try:
                opened: Callable[[], psycopg.Connection] = lambda: psycopg.connect(share.url(), autocommit=True)  # noqa: E731
                async with scene.clients(service, opened) as ledger:
                    yield proxy, ledger
            finally:
                await asyncio.to_thread(started.__exit__, None, None, None)
    finally:
        share.release()


@drill
async def cut_connection(scene: Scene) -> None:
    """Resets every connection to the database several times, then refuses them for 5 s."""
    async with _behind_proxy(scene) as (proxy, ledger):
        for _ in range(scene.choose(4, 1)):
            since = time.monotonic()
            proxy.reset()
            scene.result.note("reset", await ledger.recovers("connections reset", since, BACK_WITHIN_SECONDS))
            await asyncio.sleep(1)
        proxy.cut()
        await asyncio.sleep(scene.choose(5, 1))
        since = time.monotonic()
        proxy.heal()
        scene.result.note("refused for 5 s", await ledger.recovers("refused", since, BACK_WITHIN_SECONDS))
        await asyncio.sleep(1)


@drill
async def silent_connection(scene: Scene) -> None:
    """Passes nothing between service and database for 20 s, without closing anything, as a network that is cut."""
    async with _behind_proxy(scene) as (proxy, ledger):
        proxy.swallow()
        await asyncio.sleep(scene.choose(SILENT_SECONDS, 3))
        since = time.monotonic()
        proxy.heal()
        scene.result.note("silent for 20 s", await ledger.recovers("silent", since, BACK_WITHIN_SECONDS))
        await asyncio.sleep(1)


@drill
async def slow_connection(scene: Scene) -> None:
    """Delays what service and database send each other by 20 ms and by 200 ms: slower answers, no lost ones."""
    async with _behind_proxy(scene) as (proxy, ledger):
        for delay in DELAYS:
            refused = ledger.failed.total()
            proxy.delay = delay
            since = time.monotonic()
            what = f"{delay * 1000:.0f} ms late"
            scene.result.note(what, await ledger.recovers(what, since, BACK_WITHIN_SECONDS))
            await asyncio.sleep(scene.choose(8, 2))
            scene.result.expect(ledger.failed.total() == refused, f"writes fail when the database answers {what}")
        since = time.monotonic()
        proxy.heal()
        scene.result.note("quick again", await ledger.recovers("quick again", since, BACK_WITHIN_SECONDS))
