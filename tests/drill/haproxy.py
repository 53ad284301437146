"""Drills with HAProxy in front of three PostgreSQL nodes: it asks Patroni which one is the primary."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.attack.attacks import Skipped
from tests.drill.cluster import Cluster, this_machine
from tests.drill.drills import Scene, as_root, drill
from tests.drill.failover import AWAY_SECONDS, BACK_WITHIN_SECONDS, another_leads, served
from tests.drill.processes import send
from tests.load.processes import free_port

# A node is down after two failed checks; then its connections are reset. A silent node gives no other sign.
CONFIGURATION = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
listen postgres
    bind {address}
    option httpchk GET /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
"""


@contextlib.contextmanager
def _haproxy(folder: Path, nodes: Cluster) -> Iterator[str]:
    """A DATABASE_URL that leads through an HAProxy of this block to the node that Patroni calls the primary."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if not program:
        raise Skipped("haproxy is not installed (Debian: haproxy)")
    address = f"{this_machine()}:{free_port()}"
    servers = [f"    server {each.name} {each.host}:{each.port} check port {each.rest_port}\n" for each in nodes.nodes]
    file = folder / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(address=address) + "".join(servers))
    with (folder / "haproxy.log").open("ab") as log:
        running = subprocess.Popen([program, "-db", "-f", str(file)], stdout=log, stderr=log, start_new_session=True)
    try:
        yield f"postgresql://frontdesk@{address}/frontdesk?target_session_attrs=read-write&sslmode=disable"
    finally:
        running.kill()
        running.wait()


@drill
async def kill_primary_behind_haproxy(scene: Scene) -> None:
    """As kill-primary, but DATABASE_URL names an HAProxy that asks Patroni for the primary."""
    async with served(scene, lambda nodes: _haproxy(scene.folder, nodes)) as (nodes, ledger):
        for _ in range(scene.choose(2, 1)):
            old, since = nodes.leader(), time.monotonic()
            await asyncio.to_thread(old.kill)
            await another_leads(scene, nodes, old, ledger, since, "primary killed")
            old.start()
            await asyncio.to_thread(nodes.wait_whole)
            await asyncio.sleep(1)


@drill
async def switch_over_behind_haproxy(scene: Scene) -> None:
    """As switch-over, but DATABASE_URL names an HAProxy that asks Patroni for the primary."""
    async with served(scene, lambda nodes: _haproxy(scene.folder, nodes)) as (nodes, ledger):
        for _ in range(scene.choose(3, 1)):
            since = time.monotonic()
            old = await asyncio.to_thread(nodes.leader)
            await asyncio.to_thread(nodes.switch_over)
            await another_leads(scene, nodes, old, ledger, since, "switched over")
            await asyncio.to_thread(nodes.wait_whole)
            await asyncio.sleep(1)


@drill
async def freeze_primary_behind_haproxy(scene: Scene) -> None:
    """As freeze-primary, but DATABASE_URL names an HAProxy that asks Patroni for the primary."""
    async with served(scene, lambda nodes: _haproxy(scene.folder, nodes)) as (nodes, ledger):
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
async def cut_off_primary_behind_haproxy(scene: Scene) -> None:
    """As cut-off-primary, but DATABASE_URL names an HAProxy that asks Patroni for the primary."""
    as_root("make network namespaces")
    async with served(scene, lambda nodes: _haproxy(scene.folder, nodes)) as (nodes, ledger):
        old, since = nodes.leader(), time.monotonic()
        old.plug("down")
        await another_leads(scene, nodes, old, ledger, since, "primary cut off")
        await asyncio.sleep(max(0.0, since + AWAY_SECONDS - time.monotonic()))
        back = time.monotonic()
        old.plug("up")
        scene.result.note("it comes back", await ledger.recovers("it comes back", back, BACK_WITHIN_SECONDS))
        await asyncio.to_thread(nodes.wait_whole)
        await asyncio.sleep(1)
