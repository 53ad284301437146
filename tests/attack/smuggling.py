"""Requests that two programs may read differently (security 41), to the service alone and behind nginx.

Alone: each case must end in one refusal, or in as many answers as RFC 9112 says, and a request that is hidden in
another one is never answered. Behind nginx: after each case another client uses the same connection of nginx to the
service, and must get its own answer: the service repeats its X-Request-ID.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from tests.attack import raw
from tests.attack.attacks import Outcome, Skipped, attack
from tests.attack.stage import Service, Stage, own_folder
from tests.load.processes import free_port

HIDDEN = b"GET /hidden-request HTTP/1.1\r\nHost: x\r\nX-Request-ID: hidden\r\n\r\n"
POST = b"POST /auth/jwt/verify/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
START_SECONDS = 10.0
QUIET_SECONDS = 0.3
READ = "read"  # the body was read as one whole, and has a fault of its own: POST has no token
REFUSED = {400, 413, 501, 505}


class Case(NamedTuple):
    """Bytes of one connection, and which statuses may be answered first."""

    what: str
    sent: bytes
    right: frozenset[int | str]
    most: int = 1
    """Answers at most: a hidden request must not get one."""
    may_close: bool = True
    """Whether closing the connection without an answer is right, too."""
    stays_open: bool = False
    """Whether a refusal may leave the connection open: where the request ends is clear."""


def _case(what: str, sent: bytes, *right: int | str, most: int = 1, may_close: bool = True) -> Case:
    return Case(what, sent, frozenset(right), most, may_close)


def _lengths() -> Iterator[Case]:
    """Both lengths, several lengths, lengths that are none: 400 (RFC 9112 §6.3)."""
    chunks = b"0\r\n\r\n"
    yield _case("CL.TE", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + HIDDEN, 400)
    yield _case("TE.CL", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + HIDDEN + chunks, 400)
    for value in (b"5\r\nContent-Length: 6", b"5\r\nContent-Length: 5", b"5, 6", b"5, 5", b"5;", b"0x5", b"+5", b"-5"):
        yield _case(f"Content-Length {value!r}", POST + b"Content-Length: " + value + b"\r\n\r\n{}   " + HIDDEN, 400)
    for value in (b"5 5", b"5_0", b"\xef\xbc\x95", b"", b"five", b"1e1", b"5.0", b"\x0b5", b"9" * 40):
        yield _case(
            f"Content-Length {value!r}", POST + b"Content-Length: " + value + b"\r\n\r\n{}   " + HIDDEN, 400, 413
        )
    yield _case(
        "Content-Length of a GET", b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 66\r\n\r\n" + HIDDEN, 200, 400
    )


def _codings() -> Iterator[Case]:
    """Transfer codings other than chunked: 501 (RFC 9112 §6.1); if chunked is not the last one, 400 as well (§6.3)."""
    for value in (b"gzip, chunked", b"x, chunked", b"deflate, gzip, chunked"):
        sent = POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n" + HIDDEN
        yield _case(f"Transfer-Encoding {value!r}", sent, 501, may_close=False)
    for value in (
        *(b"xchunked", b"x", b"identity", b"chunked, identity", b"chunked, chunked", b"chunked, gzip", b"chunked; x=1"),
        *(
            b"chunked,",
            b",chunked",
            b'"chunked"',
            b"chunked\x0b",
            b"\x0bchunked",
            b"chu nked",
            b"chunked\x00",
            b"\xffchunked",
        ),
    ):
        sent = POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n" + HIDDEN
        is_list = value in (b"chunked,", b",chunked")  # an empty element of a list counts for nothing (RFC 9110 §5.6.1)
        yield _case(f"Transfer-Encoding {value!r}", sent, 400, 501, *([READ] if is_list else []), most=1 + is_list)
    yield _case(
        "two Transfer-Encoding",
        POST + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        400,
        501,
    )
    for name in (
        b"Transfer-Encoding ",
        b" Transfer-Encoding",
        b"Transfer-Encoding\t",
        b"Transfer\x00Encoding",
        b"X\r\n Transfer-Encoding",
    ):
        yield _case(f"header {name!r}", POST + name + b": chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN, 400)
    yield _case(
        "HTTP/1.0 with chunks",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        400,
        501,
    )


def _chunks() -> Iterator[Case]:
    """Chunks that are malformed: 400 (RFC 9112 §7.1)."""
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for size in (b"0x2", b"+2", b"-2", b" 2", b"2 ", b"", b"g", b"2_0", b"\xef\xbc\x92", b"f" * 20, b"2\x00", b"2\x0b"):
        yield _case(f"chunk size {size!r}", head + size + b"\r\n{}\r\n0\r\n\r\n" + HIDDEN, 400, 413)
    yield _case("chunk longer than its size", head + b"1\r\n{}\r\n0\r\n\r\n" + HIDDEN, 400)
    yield _case("chunk without its end", head + b"2\r\n{}0\r\n\r\n" + HIDDEN, 400)
    yield _case("bare CR in a size", head + b"2\r{}\r\n0\r\n\r\n" + HIDDEN, 400)
    yield _case("bare LF after a size", head + b"2\n{}\r\n0\r\n\r\n" + b"", 400)
    yield _case("bare LF in an extension", head + b"2;a\n{}\r\n0\r\n\r\n" + b"", 400)
    yield _case("bare LF after a chunk", head + b"2\r\n{}\n0\r\n\r\n" + b"", 400)


def _lines() -> Iterator[Case]:
    """Folded lines, bare line ends, control characters: refused, or read as one request (RFC 9112 §2.2, §5.2)."""
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    yield _case("a folded header", get + b"X: y\r\n z\r\n\r\n", 200, 400)
    yield _case("a folded Content-Length", POST + b"Content-Length:\r\n 5\r\n\r\n{}   " + HIDDEN, 400)
    yield _case("a folded first header", b"GET /healthz HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n", 400)
    yield _case("bare LF", b"GET /healthz HTTP/1.1\nHost: x\n\n", 200, 400)
    yield _case("bare LF hides a header", get + b"X: y\nContent-Length: 66\r\n\r\n" + HIDDEN, 400)
    yield _case("bare CR hides a header", get + b"X: y\rContent-Length: 66\r\n\r\n" + HIDDEN, 400)
    yield _case("bare LF ends the head", get + b"X: y\n\n" + HIDDEN, 400)
    for octet in (b"\0", b"\x01", b"\x7f", b"\x0b"):
        yield _case(f"{octet!r} in a value", get + b"X: a" + octet + b"b\r\n\r\n", 200, 400)
        yield _case(f"{octet!r} in a name", get + b"X" + octet + b"Y: b\r\n\r\n", 400)
    yield _case("no colon", get + b"nonsense\r\n\r\n", 400)
    yield _case("an empty name", get + b": y\r\n\r\n", 400)
    yield _case("white space before the colon", get + b"X : y\r\n\r\n", 400)
    yield _case("two spaces in the request line", b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, 400)
    yield _case("a tab in the request line", b"GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400)
    yield _case("a space in the path", b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, 404)
    yield _case("a NUL in the path", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, 404)


def _versions() -> Iterator[Case]:
    """Versions other than 1.0 and 1.1: 505, and the connection is closed; what is no version: 400."""
    for version in (b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/0.9", b"HTTP/0.0"):
        yield _case(
            version.decode(), b"GET /healthz " + version + b"\r\nHost: x\r\n\r\n" + HIDDEN, 505, may_close=False
        )
    for version in (
        b"HTTP/1.10",
        b"HTTP/11",
        b"HTTP/1",
        b"HTTP/1.1.1",
        b"http/1.1",
        b"ICY/1.1",
        b"HTTP /1.1",
        b"HTTP/\xef\xbc\x91.1",
    ):
        yield _case(repr(version), b"GET /healthz " + version + b"\r\nHost: x\r\n\r\n" + HIDDEN, 400, 505)
    yield _case("HTTP/0.9 without a version", b"GET /healthz\r\n\r\n" + HIDDEN, 400, 505)
    yield _case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505)
    yield _case(
        "an upgrade to h2c",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABk\r\n\r\n",
        200,
        400,
    )


def _hosts() -> Iterator[Case]:
    """Host: exactly one, and one that is a host (RFC 9112 §3.2)."""
    for hosts in (b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a, b\r\n", b"Host: a/b\r\n"):
        for path in (b"/healthz", b"/auth/", b"/docs", b"/nothing", b"/auth/users/me/"):
            yield _case(f"{hosts!r} at {path.decode()}", b"GET " + path + b" HTTP/1.1\r\n" + hosts + b"\r\n", 400)
    for host in (
        b"a@b",
        b"a b",
        b"a:b",
        b"a:99999999",
        b"[::1",
        b"<x>",
        b"%00",
        b"\xff",
        b"a?b",
        b"a#b",
        b"http://a",
        b"a\\b",
    ):
        yield _case(f"Host {host!r}", b"GET /auth/ HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400)
    yield _case("absolute URI", b"GET http://evil.example/auth/ HTTP/1.1\r\nHost: x\r\n\r\n", 200, 400, 404, 421)
    yield _case(
        "absolute URI of another scheme", b"GET gopher://x/auth/ HTTP/1.1\r\nHost: x\r\n\r\n", 200, 400, 404, 421
    )
    yield _case("CONNECT", b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", 400, 404, 405, 501)
    yield _case("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200, 204, 400, 404, 405)
    yield _case("GET of an asterisk", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, 404)
    yield _case("no slash", b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400, 404)


CASES = [
    *_lengths(),
    *_codings(),
    *_chunks(),
    *_lines(),
    *_versions(),
    *(case._replace(stays_open=True) for case in _hosts()),
]


@attack(rules="40, 41")
async def smuggled_requests(stage: Stage, outcome: Outcome) -> None:
    """Sends unclear lengths, codings, chunks, lines, versions and hosts: one refusal, no hidden request is answered."""
    service = stage.service()
    slots = asyncio.Semaphore(20)

    async def send(case: Case) -> None:
        async with slots:
            answer = await raw.exchange(service.port, case.sent, seconds=2, quiet=QUIET_SECONDS)
        _judge(outcome, case, answer)

    await asyncio.gather(*(send(case) for case in CASES))
    outcome.worst = f"{len(CASES)} cases, {sum(outcome.faults.values())} read otherwise than the rule says"


def _judge(outcome: Outcome, case: Case, answer: raw.Answer) -> None:
    final = [each for each in answer.responses if each.status >= 200]
    hidden = [each for each in final if each.headers.get("x-request-id") == "hidden"]
    statuses = [READ if b'"token"' in each.body else each.status for each in final]
    if not final:
        right = case.may_close and answer.closed and not answer.rest
        outcome.expect(right, f"{case.what}: {'closed' if answer.closed else 'no answer'} {answer.rest[:40]!r}")
    elif statuses[0] not in case.right:
        outcome.expect(False, f"{case.what}: {statuses}, right: {sorted(case.right, key=str)}")
    elif len(final) > case.most:
        outcome.expect(False, f"{case.what}: {statuses}{', the hidden request was answered' if hidden else ''}")
    else:
        refused = statuses[0] in REFUSED
        is_over = answer.closed or case.stays_open or not refused
        outcome.expect(is_over, f"{case.what}: {statuses}, and the connection stays open")


@attack(rules="41")
async def half_closed_connections(stage: Stage, outcome: Outcome) -> None:
    """Shuts down the sending side after a request, alone and with several in one go: each still gets its answer."""
    service = stage.service()
    get = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    old = b"GET /healthz HTTP/1.0\r\n\r\n"
    post = POST + b"Content-Length: 2\r\n\r\n{}"
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    me = b"GET /auth/users/me/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n"
    docs = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    sign_in = b'{"username": "x", "password": "y"}'
    hashed = POST.replace(b"verify", b"create") + b"Content-Length: %d\r\n\r\n" % len(sign_in) + sign_in
    for what, sent, right in (
        ("GET", get, [200]),
        ("HTTP/1.0", old, [200]),
        ("POST", post, [400]),
        ("chunks", chunked, [400]),
        ("a refused token", me, [401]),
        ("a long answer", docs, [200]),
        ("a hash", hashed, [401]),
        ("three in one go", get + post + me, [200, 400, 401]),
    ):
        for _ in range(stage.choose(20, 2)):
            answer = await raw.exchange(service.port, sent, half_close=True, seconds=5)
            outcome.expect(answer.statuses == right, f"{what}: {answer.statuses}, right: {right}")


NGINX = """daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1; master_process off; user root;
events {{}}
http {{
    access_log off; keepalive_requests 100000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream service {{ server 127.0.0.1:{service}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_request_buffering {buffering};
        }}
    }}
}}
"""


@contextlib.asynccontextmanager
async def _nginx(service: Service, buffering: str) -> AsyncIterator[int]:
    """Nginx in front of the service, with one kept connection to it. Raises Skipped."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise Skipped("nginx is missing: sudo apt-get install nginx")
    folder, port = own_folder(f"nginx-{buffering}"), free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, service=service.port, buffering=buffering))
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise Skipped(f"nginx does not start: {(folder / 'error').read_text()[-300:]}") from None
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


@attack(rules="41")
async def smuggled_requests_behind_nginx(stage: Stage, outcome: Outcome) -> None:
    """Sends the same through nginx, which reuses one connection to the service: the next client gets its own answer."""
    service = stage.service()
    for buffering in ("on", "off"):
        async with _nginx(service, buffering) as port:
            for number, case in enumerate(CASES[:: stage.choose(1, 8)]):
                answer = await raw.exchange(port, case.sent, seconds=stage.choose(2, 1), quiet=0.05)
                for other in range(2):
                    name = f"victim-{number}-{other}"
                    sent = (
                        b"GET /auth/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: %b\r\n\r\n"
                        % name.encode()
                    )
                    got = await raw.exchange(port, sent, seconds=5)
                    ids = [each.headers.get("x-request-id") for each in got.responses]
                    right = got.statuses == [200] and ids == [name]
                    outcome.expect(
                        right, f"{case.what} (buffering {buffering}): the next client got {got.statuses} {ids}"
                    )
                if any(each.status >= 500 and each.status not in (501, 505) for each in answer.responses):
                    outcome.fault(f"{case.what} (buffering {buffering}): {answer.statuses}")
    outcome.worst = f"{outcome.tried:,} next clients, {sum(outcome.faults.values())} with a wrong answer"
