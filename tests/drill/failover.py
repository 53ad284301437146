"""Drills with three PostgreSQL nodes, synchronous replication and Patroni: the primary changes under load."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable

from tests.drill.cluster import Cluster, Node, cluster
from tests.drill.drills import Scene, as_root, drill
from tests.drill.ledger import Ledger
from tests.drill.processes import send

BACK_WITHIN_SECONDS = 60.0  # the key of a leader that is gone lives 20 s
AWAY_SECONDS = 40  # longer than that key: another node leads when the old one comes back
STANDBYS_FROZEN_SECONDS = 18  # longer than the time limit of a statement, shorter than wal_sender_timeout


@contextlib.asynccontextmanager
async def served(
    scene: Scene,
    url: Callable[[Cluster], contextlib.AbstractContextManager[str]] = lambda nodes: contextlib.nullcontext(nodes.url),
    *,
    failsafe: bool = False,
) -> AsyncIterator[tuple[Cluster, Ledger]]:
    """A cluster, a service on it, and clients that write; at the end the ledger is compared with the leader.

    `url` gives the DATABASE_URL of the service.
    """
    with cluster(scene.folder, failsafe=failsafe) as nodes, url(nodes) as reached, scene.service(reached) as service:
        async with scene.clients(service, nodes.connect) as ledger:
            yield nodes, ledger


async def another_leads(scene: Scene, nodes: Cluster, old: Node, ledger: Ledger, since: float, what: str) -> None:
    """Note when writes are acknowledged again by another node than `old`."""
    while True:
        leader = await asyncio.to_thread(nodes.leader)
        if leader is not old:
            break
        if time.monotonic() > since + BACK_WITHIN_SECONDS:
            scene.result.fault(f"{what}: no other node leads")
            return
        await asyncio.sleep(0.1)
    scene.result.note("another leads", time.monotonic() - since)
    now = time.monotonic()
    await ledger.recovers(what, now, BACK_WITHIN_SECONDS)
    scene.result.note(what, time.monotonic() - since)


@drill
async def kill_primary(scene: Scene) -> None:
    """Kills the machine of the primary (Patroni and PostgreSQL) under load, and starts it again later."""
    async with served(scene) as (nodes, ledger):
        for _ in range(scene.choose(2, 1)):
            old, since = nodes.leader(), time.monotonic()
            await asyncio.to_thread(old.kill)
            await another_leads(scene, nodes, old, ledger, since, "primary killed")
            old.start()
            await asyncio.to_thread(nodes.wait_whole)
            await asyncio.sleep(1)


@drill
async def switch_over(scene: Scene) -> None:
    """Has Patroni make the synchronous standby the primary, several times, as for maintenance."""
    async with served(scene) as (nodes, ledger):
        for _ in range(scene.choose(3, 1)):
            since = time.monotonic()
            old = await asyncio.to_thread(nodes.leader)
            await asyncio.to_thread(nodes.switch_over)
            await another_leads(scene, nodes, old, ledger, since, "switched over")
            await asyncio.to_thread(nodes.wait_whole)
            await asyncio.sleep(1)


@drill
async def freeze_primary(scene: Scene) -> None:
    """Stops every process of the primary (SIGSTOP) until another node leads, and lets it come back."""
    async with served(scene) as (nodes, ledger):
        old, since = nodes.leader(), time.monotonic()
        frozen = old.processes()
        send(signal.SIGSTOP, frozen)
        try:
            await another_leads(scene, nodes, old, ledger, since, "primary frozen")
            await asyncio.sleep(max(0.0, since + AWAY_SECONDS - time.monotonic()))
        finally:
            back = time.monotonic()
            send(signal.SIGCONT, frozen)
        scene.result.note("it comes back", await ledger.recovers("it comes back", back, BACK_WITHIN_SECONDS))
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)


@drill
async def cut_off_primary(scene: Scene) -> None:
    """Pulls the network cable of the primary until another node leads, and plugs it in again."""
    as_root("make network namespaces")
    async with served(scene) as (nodes, ledger):
        old, since = nodes.leader(), time.monotonic()
        old.plug("down")
        await another_leads(scene, nodes, old, ledger, since, "primary cut off")
        await asyncio.sleep(max(0.0, since + AWAY_SECONDS - time.monotonic()))
        back = time.monotonic()
        old.plug("up")
        scene.result.note("it comes back", await ledger.recovers("it comes back", back, BACK_WITHIN_SECONDS))
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)


@drill
async def freeze_standbys(scene: Scene) -> None:
    """Stops both standbys for 18 s, then kills the primary: nothing that only the primary stored was acknowledged."""
    async with served(scene) as (nodes, ledger):
        old = nodes.leader()
        frozen = [pid for each in nodes.nodes if each is not old for pid in each.processes()]
        send(signal.SIGSTOP, frozen)
        try:
            await asyncio.sleep(STANDBYS_FROZEN_SECONDS)
            since = time.monotonic()
            await asyncio.to_thread(old.kill)
        finally:
            send(signal.SIGCONT, frozen)
        await another_leads(scene, nodes, old, ledger, since, "primary killed")
        old.start()
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)


@drill
async def lose_etcd(scene: Scene) -> None:
    """Kills etcd for 40 s under load: without it nobody knows who leads, so the primary only reads until it is back."""
    async with served(scene) as (nodes, ledger):
        nodes.etcd.kill()
        try:
            await asyncio.sleep(scene.choose(AWAY_SECONDS, 15))
        finally:
            since = time.monotonic()
            nodes.etcd.start()
        scene.result.note("etcd is back", await ledger.recovers("etcd is back", since, BACK_WITHIN_SECONDS))
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)


@drill
async def lose_etcd_failsafe(scene: Scene) -> None:
    """Kills etcd for 40 s under load with Patroni's failsafe_mode: the primary goes on, since it reaches all nodes."""
    async with served(scene, failsafe=True) as (nodes, ledger):
        refused = ledger.failed.total()
        nodes.etcd.kill()
        try:
            await asyncio.sleep(scene.choose(AWAY_SECONDS, 15))
            scene.result.expect(ledger.failed.total() == refused, "writes fail without etcd")
        finally:
            since = time.monotonic()
            nodes.etcd.start()
        scene.result.note("etcd is back", await ledger.recovers("etcd is back", since, BACK_WITHIN_SECONDS))
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)
