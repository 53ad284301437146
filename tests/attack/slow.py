"""Clients that send or read slowly, a thousand at once (security 32, 37): others are served, memory is bounded."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable

from tests.attack import raw
from tests.attack.attacks import Outcome, Skipped, attack
from tests.attack.stage import Stage, Visitor
from tests.attack.witness import all_gone, witness

BUNDLE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
INSTALL = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "slowhttptest"]

Beat = Callable[[list[socket.socket], int], object]


async def _hold(
    stage: Stage,
    outcome: Outcome,
    first: bytes,
    beat: Beat | None = None,
    *,
    seconds: float = 35.0,
    every: float = 2.0,
    receive_bytes: int = 0,
) -> None:
    """Open many connections, send `first` on each, and go on with `beat` at intervals; then fall silent."""
    number = stage.choose(1000, 100)
    with stage.fresh_service() as service:
        opened: list[socket.socket] = []
        try:
            async with witness(stage, service, outcome):
                opened = await asyncio.to_thread(raw.open_sockets, service.port, number, receive_bytes=receive_bytes)
                raw.push(opened, first)
                end, beats = time.monotonic() + (2.0 if stage.quick else seconds), 0
                while time.monotonic() < end:
                    await asyncio.sleep(0.5 if stage.quick else every)
                    if beat:
                        beat(opened, beats)
                    beats += 1
            outcome.tried += number
            await all_gone(stage, service, outcome)
        finally:
            raw.close(opened)


@attack(rules="32")
async def slow_headers(stage: Stage, outcome: Outcome) -> None:
    """Sends a header line every two seconds on each of 1,000 connections, and never the last."""
    await _hold(
        stage,
        outcome,
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        lambda opened, beats: raw.push(opened, f"X-{beats}: y\r\n".encode()),
    )


@attack(rules="32")
async def silent_connections(stage: Stage, outcome: Outcome) -> None:
    """Opens 1,000 connections, sends half a request line, and nothing more."""
    await _hold(stage, outcome, b"GET /auth/us", seconds=20.0)


@attack(rules="32, 38")
async def slow_bodies(stage: Stage, outcome: Outcome) -> None:
    """Announces 1,000 bytes on each of 1,000 connections and sends one every two seconds."""
    first = HEAD % b"/auth/jwt/create/" + b'Content-Length: 1000\r\n\r\n{"username": "'
    await _hold(stage, outcome, first, lambda opened, _: raw.push(opened, b"x"))


@attack(rules="32, 40")
async def slow_chunks(stage: Stage, outcome: Outcome) -> None:
    """Sends a chunk of one byte every two seconds on each of 1,000 connections."""
    first = HEAD % b"/auth/users/" + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    await _hold(stage, outcome, first, lambda opened, _: raw.push(opened, b"1\r\n \r\n"))


@attack(rules="32, 37")
async def readers_that_do_not_read(stage: Stage, outcome: Outcome) -> None:
    """Asks for the 1.7 MB Swagger bundle three times on each of 1,000 connections, and reads nothing."""
    await _hold(stage, outcome, BUNDLE * 3, receive_bytes=4096)


@attack(rules="32, 37")
async def slow_readers(stage: Stage, outcome: Outcome) -> None:
    """Asks for the Swagger bundle on each of 1,000 connections and reads 16 bytes every two seconds."""
    await _hold(stage, outcome, BUNDLE, lambda opened, _: raw.drain(opened, 16), receive_bytes=4096)


@attack(rules="37")
async def pipelines_of_long_reads(stage: Stage, outcome: Outcome) -> None:
    """Reads a profile of 15 kB without end on each of some pipelined connections, and takes no response."""
    connections, seconds = stage.choose(20, 2), stage.choose(15, 4)
    with stage.fresh_service() as service:
        async with Visitor(service) as visitor:
            name = f"long-{os.urandom(4).hex()}"
            token = (await visitor.register(name))["access"]
            _, profile = await visitor.ask("GET", "/api/accounts/profile/me", token)
            path = f"/api/accounts/profile/{profile['id']}"
            status, _ = await visitor.ask("PATCH", path, token, json={"description": "x" * 15_000})
            outcome.expect(status == 200, f"the description was not taken: {status}")
        one = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        opened: list[socket.socket] = []
        left: dict[socket.socket, bytes] = {}
        try:
            async with witness(stage, service, outcome):
                opened = await asyncio.to_thread(raw.open_sockets, service.port, connections, receive_bytes=4096)
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    for each in opened:
                        # What was sent in part is gone on with: a request that is cut would end the connection.
                        unsent = left.get(each) or one * 100
                        with contextlib.suppress(OSError):  # it takes no more, or has dropped the client
                            sent = each.send(unsent)
                            left[each] = unsent[sent:]
                            outcome.tried += sent // len(one)
                    await asyncio.sleep(0.002)
            await all_gone(stage, service, outcome)
        finally:
            raw.close(opened)


def _slowhttptest() -> str:
    """The path of slowhttptest; root gets it installed. Raises Skipped."""
    if shutil.which("slowhttptest") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(INSTALL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    found = shutil.which("slowhttptest")
    if found is None:
        raise Skipped(f"slowhttptest is missing: sudo {' '.join(INSTALL)}")
    return found


@attack(rules="32, 37", quick=False)
async def slowhttptest(stage: Stage, outcome: Outcome) -> None:
    """Runs slowhttptest with 1,000 connections: slow headers, slow body, ranges, slow reading."""
    program = _slowhttptest()
    modes = {
        "headers": ["-H", "-i", "5", "-u", "/auth/"],
        "body": ["-B", "-i", "5", "-s", "8192", "-t", "POST", "-f", "application/json", "-u", "/auth/users/"],
        "range": ["-R", "-a", "5", "-b", "3000", "-t", "GET", "-u", "/docs/swagger-ui-bundle.js"],
        "read": ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3", "-u", "/docs/swagger-ui-bundle.js"],
    }
    with stage.fresh_service() as service:
        for mode, (*options, path) in modes.items():
            watched = Outcome()
            async with witness(stage, service, watched):
                command = [program, "-c", "1000", "-r", "200", "-l", "35", "-p", "5", *options, f"{service.url}{path}"]
                process = await asyncio.create_subprocess_exec(
                    *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
                )
                try:
                    written, _ = await asyncio.wait_for(process.communicate(), 120)
                finally:
                    if process.returncode is None:
                        process.kill()
            text = re.sub(r"\x1b\[[0-9;]*m", "", written.decode(errors="replace"))
            available = re.findall(r"service available:\s*(\w+)", text)
            outcome.expect("NO" not in available[1:], f"{mode}: slowhttptest calls the service not available")
            outcome.tried += 999
            outcome.faults.update({f"{mode}: {fault}": count for fault, count in watched.faults.items()})
            outcome.worst = "; ".join(filter(None, [outcome.worst, f"{mode}: {watched.worst}"]))
        await all_gone(stage, service, outcome)
