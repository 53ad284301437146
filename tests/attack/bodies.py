"""Bodies and headers that are large, many or costly (security 3, 32, 38, 39, 40)."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from tests.attack import raw
from tests.attack.attacks import Outcome, attack
from tests.attack.stage import Service, Stage, Visitor
from tests.attack.witness import all_gone, witness

MEBIBYTE = 1 << 20
LOOP_SECONDS = 0.010  # that one body may take
JSON = b"Content-Type: application/json\r\n"
REGISTER = b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\n"
FORM = "application/x-www-form-urlencoded"
REFUSALS = {"400", "408", "413", "414", "431", "501", "503"}
QUICK_BYTES = 25_000_000


@attack(rules="32, 38")
async def unfinished_bodies(stage: Stage, outcome: Outcome) -> None:
    """Sends all but the last byte of 300 bodies of 1 MB, with a length and in chunks, and waits."""
    number = stage.choose(150, 15)
    body = b'{"username": "' + b"x" * (MEBIBYTE - 20)
    with stage.fresh_service() as service:
        heads = [
            REGISTER + JSON + b"Content-Length: %d\r\n\r\n" % MEBIBYTE,
            REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % MEBIBYTE,
        ]
        opened: list[asyncio.StreamWriter] = []
        statuses: list[int] = []
        try:
            async with witness(stage, service, outcome):
                for head in heads * number:
                    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
                    opened.append(writer)
                    writer.write(head + body)
                    await _drained(writer)
                    outcome.tried += 1
                    statuses += _status_of(reader)
                await asyncio.sleep(1 if stage.quick else 10)
            outcome.worst += f"; {len(statuses)} refused at once"
            await all_gone(stage, service, outcome)
        finally:
            for writer in opened:
                writer.transport.abort()


async def _drained(writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.wait_for(writer.drain(), 2)
    except (TimeoutError, ConnectionError):
        return


def _status_of(reader: asyncio.StreamReader) -> list[int]:
    """The status of a response that has come already."""
    came = bytes(reader._buffer)  # type: ignore[attr-defined]  # what was received and not read
    return [int(came.split()[1])] if came.startswith(b"HTTP/") else []


class Flood:
    """A request that never ends: how much of it the service takes, and what it answers."""

    def __init__(self, head: bytes, piece: bytes, most: int, seconds: float) -> None:
        self.head, self.piece, self.most, self.seconds = head, piece, most, seconds
        self.sent = 0
        self.ending = "not refused"

    async def pour(self, service: Service) -> None:
        """Send until the service answers, closes the connection, or has taken `most` bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        answer = asyncio.create_task(reader.read(100))
        try:
            async with asyncio.timeout(self.seconds):
                writer.write(self.head)
                while self.sent < self.most and not answer.done():
                    writer.write(self.piece)
                    await writer.drain()
                    self.sent += len(self.piece)
                first = await asyncio.wait_for(asyncio.shield(answer), min(3, self.seconds))
                self.ending = first.split()[1].decode() if first.startswith(b"HTTP/") else "closed"
        except TimeoutError:
            self.ending = "not refused" if self.sent >= self.most else "not read on"
        except ConnectionError:
            self.ending = "closed"
        finally:
            answer.cancel()
            writer.transport.abort()


FLOODS: dict[str, tuple[bytes, bytes, int]] = {
    "a chunk extension of 200 MB": (
        REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n1;x=",
        b"y" * 65536,
        200_000_000,
    ),
    "chunk extensions on every chunk": (
        REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n",
        (b"1;" + b"x" * 500 + b"\r\n \r\n") * 100,
        50_000_000,
    ),
    "a million chunks of one byte": (
        REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n" * 5000,
        6_000_000,
    ),
    "endless trailers": (
        REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"X-T: y\r\n" * 1000,
        50_000_000,
    ),
    "a header of 50 MB": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"y" * 65536, 50_000_000),
    "a million headers": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 5000, 6_000_000),
    "a request line of 50 MB": (b"GET /", b"y" * 65536, 50_000_000),
    "a chunked body without an end": (
        REGISTER + JSON + b"Transfer-Encoding: chunked\r\n\r\n",
        b"10000\r\n" + b" " * 65536 + b"\r\n",
        100_000_000,
    ),
    "more than Content-Length allows": (
        REGISTER + JSON + b"Content-Length: 10000000000\r\n\r\n",
        b" " * 65536,
        100_000_000,
    ),
}
BUFFERED = 20_000_000  # bytes that the kernel takes for the service before it has read them


@attack(rules="32, 40")
async def endless_requests(stage: Stage, outcome: Outcome) -> None:
    """Pours requests that never end: chunk extensions, tiny chunks, trailers, headers, lines; each is refused early."""
    for what, (head, piece, most) in FLOODS.items():
        with stage.fresh_service() as service:
            watched = Outcome()
            flood = Flood(head, piece, min(most, QUICK_BYTES) if stage.quick else most, stage.choose(60, 1))
            async with witness(stage, service, watched):
                before = service.cpu_seconds()
                await flood.pour(service)
                await asyncio.sleep(0.2)
                spent = service.cpu_seconds() - before
            words = f"{what}: {flood.ending} after {flood.sent / 1e6:.1f} MB, {spent * 1000:.0f} ms"
            early = flood.ending == "closed" or flood.ending in REFUSALS
            undecided = stage.quick and flood.ending == "not read on"
            outcome.expect(early or undecided, words)
            if early and flood.sent > BUFFERED:
                outcome.fault(f"{what}: {flood.sent / 1e6:.0f} MB were taken before the refusal")
            outcome.faults.update({f"{what}: {fault}": count for fault, count in watched.faults.items()})
            outcome.not_judged |= watched.not_judged
            stage.say(f"    {words}; {watched.worst}")
            outcome.worst = max(outcome.worst, words, key=_milliseconds)


def _milliseconds(words: str) -> float:
    return float(words.rpartition(", ")[2].removesuffix(" ms")) if words else -1.0


@attack(rules="40")
async def announced_lengths(stage: Stage, outcome: Outcome) -> None:
    """Announces a body over the limit and sends none, with and without Expect: 413 at once, before any byte of it."""
    service = stage.service()
    lengths = (b"1048577", b"10000000", b"99999999999999999999")
    for length in lengths[: stage.choose(3, 1)]:
        for expect in (b"", b"Expect: 100-continue\r\n"):
            for path in (b"/auth/users/", b"/auth/jwt/create/", b"/auth/users/reset_password/"):
                head = b"POST %b HTTP/1.1\r\nHost: x\r\n" % path + JSON + expect
                answer = await raw.exchange(
                    service.port, head + b"Content-Length: %b\r\n\r\n" % length, seconds=stage.choose(3, 1)
                )
                right = [[413], [400]] if len(length) > 19 else [[413]]  # 20 digits are more than a parser may keep
                outcome.expect(
                    answer.statuses[:1] in right,
                    f"{path.decode()} {length.decode()} {expect[:6].decode()}: {answer.statuses}",
                )


def _bodies() -> Iterator[tuple[str, str, str, bytes]]:
    """What each body is, its path and media type, and its bytes."""
    register, sign_in, json_type = "/auth/users/", "/auth/jwt/create/", "application/json"
    keys = json.dumps({f"k{number}": 1 for number in range(95_000)}).encode()[:MEBIBYTE]
    yield "95,000 keys", register, json_type, keys if keys.endswith(b"}") else keys[: keys.rindex(b",")] + b"}"
    yield "nested keys", register, json_type, b'{"profile": {"fields": ' + keys[: MEBIBYTE - 100] + b"}}"
    yield "350,000 numbers", register, json_type, b'{"username": [' + b"1, " * 340_000 + b"1]}"
    yield "empty objects", register, json_type, b'{"username": [' + b"{}," * 340_000 + b"1]}"
    yield "depth 500,000", register, json_type, b"[" * 500_000
    yield "depth 900, many times", register, json_type, b'{"a": [' + (b"[" * 400 + b"]" * 400 + b",") * 1200 + b"1]}"
    yield "escapes", register, json_type, b'{"username": "' + b"\\u0041" * 170_000 + b'"}'
    yield "surrogates", register, json_type, b'{"x": "' + b"\\ud800" * 170_000 + b'"}'
    yield "a long number", register, json_type, b'{"username": ' + b"9" * 1_000_000 + b"}"
    yield "long numbers", register, json_type, b'{"x": [' + (b"9" * 60 + b",") * 16_000 + b"1]}"
    yield "a long username", sign_in, json_type, json.dumps({"username": "x" * 1_000_000, "password": "x"}).encode()
    yield "a long password", sign_in, json_type, json.dumps({"username": "x", "password": "y" * 1_000_000}).encode()
    ligature = json.dumps({"username": "\ufdfa" * 300_000, "password": "x" * 12}, ensure_ascii=False).encode()
    yield "a username of ligatures", register, json_type, ligature
    for what, address in {
        "a long domain": "a@" + "a." * 450_000 + "com",
        "a domain of hyphens": "a@" + "a-" * 450_000 + "b.com",
        "a long Unicode domain": "a@" + "ü." * 300_000 + "com",
        "a long local part": "a." * 450_000 + "a@example.com",
        "a quoted local part": '"' + "\\a" * 450_000 + "@example.com",
        "a long literal": "a@[" + "1:" * 450_000 + "]",
    }.items():
        body = json.dumps({"email": address, "username": "x", "password": "correct horse battery"}, ensure_ascii=False)
        yield what, register, json_type, body.encode()[:MEBIBYTE]
    yield "1,000,000 form fields", register, FORM, b"a&" * 500_000
    yield "form fields with values", register, FORM, b"a=b&" * 250_000
    yield "a percent-encoded form", register, FORM, b"username=" + b"%41" * 349_000
    yield "percent-encoded keys", register, FORM, b"%41" * 349_000 + b"=x"
    yield "percent-encoded Unicode", register, FORM, ("description=" + quote("\ufdfa") * 38_000).encode()
    keys = b"&".join(b"%41" * 17 + b"%%%02x=" % (0x30 + each % 10) + b"%d" % each for each in range(999))
    yield "escaped keys", register, FORM, keys
    yield "escapes between letters", register, FORM, ("a=" + "%41ü" * 17_990).encode()
    yield "escapes between many letters", register, FORM, b"a=" + (b"%41" + b"b" * 110) * 8_990
    yield "one escape and 1 MB", register, json_type, b'{"x": "\\ud83d\\ude00' + b"a" * 1_000_000 + b'"}'
    yield "plus signs", register, FORM, b"username=" + b"+" * 1_000_000
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    multipart = "multipart/form-data; boundary=x"
    yield "20,000 parts", register, multipart, part * 20_000 + b"--x--\r\n"
    yield "part headers", register, multipart, b"--x\r\n" + b"X: y\r\n" * 170_000 + b"\r\n\r\n--x--\r\n"
    yield "a part of boundaries", register, multipart, part[:-2] + b"\r\n--y" * 200_000 + b"\r\n--x--\r\n"
    yield "a part without an end", register, multipart, part + b"-" * 1_000_000
    yield "line breaks in a part", register, multipart, part + b"\r\n" * 500_000 + b"--x--\r\n"


@attack(rules="3, 39")
async def costly_bodies(stage: Stage, outcome: Outcome) -> None:
    """Sends bodies of 1 MB that are costly to read: each is a 4xx, none takes more than 10 ms of processor time."""
    service = stage.service()
    rounds = stage.choose(7, 1)
    costs: dict[str, float] = {}
    async with Visitor(service) as visitor:
        plain = await _cost(service, visitor, "/auth/users/", "application/json", b"{}", rounds, outcome)
        for what, path, media_type, body in _bodies():
            assert len(body) <= MEBIBYTE, what
            costs[what] = await _cost(service, visitor, path, media_type, body, rounds, outcome, what) - plain
    worst = sorted(costs.items(), key=lambda each: -each[1])
    outcome.worst = "; ".join(f"{what}: {cost * 1000:.0f} ms" for what, cost in worst[:3])
    if stage.quick:
        outcome.not_judged.add("processor time")
    else:
        for what, cost in worst:
            if cost > LOOP_SECONDS:
                outcome.fault(f"{what}: {cost * 1000:.1f} ms of processor time")


async def _cost(
    service: Service,
    visitor: Visitor,
    path: str,
    media_type: str,
    body: bytes,
    rounds: int,
    outcome: Outcome,
    what: str = "an empty object",
) -> float:
    """The lowest processor time that the service spends on a body, in seconds: other work on the machine only adds."""
    spent = []
    for _ in range(rounds):
        before = service.cpu_seconds()
        status, _ = await visitor.ask("POST", path, data=_pieces(body), headers=_headers(media_type, body))
        spent.append(service.cpu_seconds() - before)
        outcome.expect(400 <= status < 500 or status == 503, f"{what}: {status}")
    return min(spent)


def _headers(media_type: str, body: bytes) -> dict[str, str]:
    return {"Content-Type": media_type, "Content-Length": str(len(body))}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), 1 << 16):
        yield body[begin : begin + (1 << 16)]


@attack(rules="32")
async def compressed_bodies(stage: Stage, outcome: Outcome) -> None:
    """Sends compressed bodies that unpack to a gigabyte, once and twice compressed: 415, nothing is unpacked."""
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    gigabyte = b"".join([zeros.compress(bytes(10_000_000)) for _ in range(stage.choose(100, 10))]) + zeros.flush()
    bombs = {"gzip": gigabyte[:MEBIBYTE], "gzip twice": gzip.compress(gigabyte)}
    encodings = [
        "gzip",
        "x-gzip",
        "deflate",
        "compress",
        "br",
        "zstd",
        "gzip, gzip",
        "identity, gzip",
        "GZIP",
        "gzip;q=1",
    ]
    with stage.fresh_service() as service:
        async with witness(stage, service, outcome), Visitor(service) as visitor:
            for bomb in bombs.values():
                for encoding in encodings:
                    for path in ("/auth/users/", "/auth/jwt/create/", "/healthz", "/nothing"):
                        headers = _headers("application/json", bomb) | {"Content-Encoding": encoding}
                        status, _ = await visitor.ask("POST", path, data=_pieces(bomb), headers=headers)
                        outcome.expect(status in (401, 404, 405, 415), f"{encoding} at {path}: {status}")
                    head = (
                        REGISTER
                        + JSON
                        + b"Connection: close\r\nTransfer-Encoding: %b, chunked\r\n\r\n" % encoding.encode()
                    )
                    sent = head + b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n"
                    answer = await raw.exchange(service.port, sent, seconds=5)
                    right = answer.statuses[:1] in ([501], [400])
                    outcome.expect(right, f"Transfer-Encoding: {encoding}, chunked: {answer.statuses}")


@attack(rules="32, 37")
async def pipelined_floods(stage: Stage, outcome: Outcome) -> None:
    """Sends 10,000 requests on each of 50 connections without reading one answer."""
    connections, requests = stage.choose(50, 10), stage.choose(10_000, 1_000)
    flood = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * requests
    with stage.fresh_service() as service:
        opened = []
        try:
            async with witness(stage, service, outcome):
                for _ in range(connections):
                    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1)
                    opened.append((reader, writer))
                    writer.write(flood)
                    outcome.tried += requests
                await asyncio.sleep(2 if stage.quick else 10)
            await all_gone(stage, service, outcome)
        finally:
            for _, writer in opened:
                writer.transport.abort()
