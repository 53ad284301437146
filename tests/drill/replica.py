"""Drills with a replica (REPLICA_URL) beside the bundled PostgreSQL: what happens to it harms no caller."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable

import psycopg
import requests

from server.postgres.bundled import attach
from tests.attack.stage import Visitor
from tests.database.replicas import Streaming, streaming
from tests.drill.cluster import cluster
from tests.drill.drills import Opened, Scene, drill
from tests.drill.failover import another_leads
from tests.drill.ledger import Ledger
from tests.drill.readers import WRITERS, Readers
from tests.load.processes import free_port

BACK_WITHIN_SECONDS = 40.0  # a start of PostgreSQL on a busy machine, and a pause until the next try
AWAY_SECONDS = 15
LAG_SECONDS = 25  # longer than a replica may lag
POLL_SECONDS = 0.05
# As if the readers had signed in long ago: their lists may come from the replica.
FORGET = """
alter table profiles disable trigger user;
update profiles set updated_on = now() - interval '1 hour';
alter table profiles enable trigger user;
update events set happened_at = happened_at - interval '1 hour';
"""


class _Served:
    """A service with a replica, clients that read, and what its metrics say."""

    def __init__(self, scene: Scene, readers: Readers, port: int) -> None:
        self._scene = scene
        self._readers = readers
        self._metrics = f"http://127.0.0.1:{port}/metrics"

    async def by_replica(self) -> float:
        """How many reads the replica has answered."""
        text = (await asyncio.to_thread(requests.get, self._metrics, timeout=5)).text
        found = re.search(r'^frontdesk_lagging_reads_total{server="replica"} (\S+)', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def used_again(self, since: float, what: str) -> None:
        """Wait until the replica answers reads that begin now, and note the time from `since` on."""
        before = await self.by_replica()
        while await self.by_replica() <= before:
            if time.monotonic() > since + BACK_WITHIN_SECONDS:
                self._scene.result.fault(f"{what}: the replica is not used again")
                return
            await asyncio.sleep(POLL_SECONDS)
        self._scene.result.note(what, time.monotonic() - since)

    async def say(self) -> None:
        """Put what was read into the result."""
        readers, by_replica = self._readers, await self.by_replica()
        self._scene.result.worst = (
            f"{readers.reads:,} reads, {by_replica:,.0f} by the replica; longest read {readers.slowest:.1f} s,"
            f" oldest {readers.oldest:.1f} s"
        )


@contextlib.asynccontextmanager
async def _served(
    scene: Scene, primary: str, replica: str, opened: Callable[[], Opened], *, may_be_refused: bool = False
) -> AsyncIterator[tuple[_Served, Ledger]]:
    """A service on these URLs, clients that write, and clients that read; each request that fails is a fault.

    `opened` connects to the primary as the owner of the tables. `may_be_refused`: 503 is no fault.
    """
    port = free_port()
    readers = Readers(scene.result, may_be_refused=may_be_refused)
    with scene.service(primary, REPLICA_URL=replica, METRICS=f"127.0.0.1:{port}") as service:
        async with scene.clients(service, opened) as ledger, Visitor(service, connections=64) as visitor:
            people = await readers.prepare(visitor)
            with opened() as connection:
                connection.execute(FORGET)
            tasks = [asyncio.create_task(readers.write(visitor, each)) for each in people[:WRITERS]]
            tasks += [asyncio.create_task(readers.look(visitor, each)) for each in people[WRITERS:]]
            made = _Served(scene, readers, port)
            try:
                await made.used_again(time.monotonic(), "used")
                await asyncio.sleep(2)
                yield made, ledger
                await asyncio.sleep(2)
            finally:
                readers.stopped = True
                await asyncio.gather(*tasks)
            await made.say()
            scene.result.expect(may_be_refused or not ledger.failed, f"writes fail: {dict(ledger.failed)}")
        scene.result.expect(may_be_refused or not service.errors(), f"the service logged {service.errors()[:1]}")


@contextlib.asynccontextmanager
async def _with_replica(scene: Scene) -> AsyncIterator[tuple[_Served, Streaming]]:
    """A service on the bundled PostgreSQL and a replica of it."""
    primary = attach(scene.data, say=lambda text: None)
    try:
        with streaming(primary) as copy:
            url = primary.url()
            async with _served(scene, url, copy.url(url), lambda: psycopg.connect(url, autocommit=True)) as (made, _):
                yield made, copy
    finally:
        primary.release()


@drill
async def kill_replica(scene: Scene) -> None:
    """Kills every process of the replica, three times, and starts it again later: no read fails meanwhile."""
    async with _with_replica(scene) as (service, copy):
        for _ in range(scene.choose(3, 1)):
            copy.kill()
            await asyncio.sleep(scene.choose(AWAY_SECONDS, 3) / 3)
            await asyncio.to_thread(copy.revive)
            await service.used_again(time.monotonic(), "started again")
            await asyncio.sleep(1)


@drill
async def freeze_replica(scene: Scene) -> None:
    """Stops every process of the replica (SIGSTOP) for 15 s: a read waits for it for a second at most."""
    async with _with_replica(scene) as (service, copy):
        with copy.frozen():
            await asyncio.sleep(scene.choose(AWAY_SECONDS, 3))
            since = time.monotonic()
        await service.used_again(since, "it goes on")


@drill
async def lag_replica(scene: Scene) -> None:
    """Has the replica replay nothing for 25 s while it answers: what is read is never older than it may be."""
    async with _with_replica(scene) as (service, copy):
        with copy.paused():
            await asyncio.sleep(scene.choose(LAG_SECONDS, 3))
            by_replica = await service.by_replica()
            await asyncio.sleep(2)
            after = await service.by_replica()
            scene.result.expect(scene.quick or after == by_replica, "a replica that lags is used")
            since = time.monotonic()
        await service.used_again(since, "it goes on")


@drill
async def promote_replica(scene: Scene) -> None:
    """Has Patroni promote a replica, several times: DATABASE_URL and REPLICA_URL both name all three nodes."""
    with cluster(scene.folder) as nodes:
        hosts = ",".join(f"{each.host}:{each.port}" for each in nodes.nodes)
        replica = f"postgresql://frontdesk@{hosts}/frontdesk?sslmode=disable"
        async with _served(scene, nodes.url, replica, nodes.connect, may_be_refused=True) as (service, ledger):
            for _ in range(scene.choose(3, 1)):
                since, old = time.monotonic(), await asyncio.to_thread(nodes.leader)
                await asyncio.to_thread(nodes.switch_over)
                await another_leads(scene, nodes, old, ledger, since, "switched over")
                await service.used_again(since, "a replica is used")
                await asyncio.to_thread(nodes.wait_whole)
                await asyncio.sleep(1)
