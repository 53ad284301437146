"""The private names of aiohttp that the service uses (`protocol.py` lists the modules), and what it does without."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_protocol import RequestHandler

from server.web import heads, malformed, protocol
from server.web.arriving import Arriving
from server.web.connections import Bounds
from server.web.protocol import Protocol, Runner, Server
from tests.conftest import Client


async def connection() -> Any:
    """A connection of the service, before its client has sent anything; its private names can be read."""
    runner = Runner(web.Application())
    await runner.setup()
    return cast("Server", runner.server)()


async def test_a_connection_reads_through_its_bounds() -> None:
    made = await connection()
    assert isinstance(made._parser, Arriving)
    for name in ("feed_data", "feed_eof", "pause_reading", "message_consumed", "set_upgraded"):
        assert callable(getattr(made._parser._parser, name)), name


async def test_a_connection_pauses_reading_for_what_it_holds_and_reads_on() -> None:
    for name in ("_pause_reading_for_buffer", "_resume_reading_for_buffer", "_resume_reading_if_drained"):
        assert callable(getattr(RequestHandler, name)), name
    assert (await connection())._buffer_paused is False


async def test_an_idle_connection_waits_for_a_message_and_has_a_loop() -> None:
    made = await connection()
    assert (made._waiter, made._loop, made._next_keepalive_close_time) == (None, asyncio.get_running_loop(), 0.0)
    assert not made._messages
    assert {"_parser", "_messages", "_waiter", "_loop", "_next_keepalive_close_time"} <= {
        name for each in RequestHandler.__mro__ for name in getattr(each, "__slots__", ())
    }


async def test_the_runner_makes_connections_with_the_bounds_of_its_server() -> None:
    runner = Runner(web.Application())
    await runner.setup()
    server: Any = runner.server
    first, second = server(), server()
    assert first._bounds is second._bounds is server.bounds
    assert isinstance(server._kwargs, dict)
    assert server.request_handler.__self__._router == runner.app._handle


async def test_a_request_has_a_place_for_its_route_and_a_connection_for_its_upgrade() -> None:
    assert web.Request._match_info is None
    assert (await connection())._upgraded is False


def test_a_request_keeps_the_message_of_the_parser() -> None:
    assert make_mocked_request("GET", "/")._message.url.scheme == ""
    assert make_mocked_request("GET", "ftp://x/")._message.url.scheme == "ftp"


def test_a_resource_matches_a_path() -> None:
    assert web.PlainResource("/healthz")._match("/healthz") == {}


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Invalid HTTP version", b"GET / HTTP/9.9\r\n\r\n"),
        ("Request has invalid `Transfer-Encoding`", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ],
)
async def test_the_parser_says_what_it_refuses(text: str, sent: bytes) -> None:
    made = await connection()
    with pytest.raises(web.HTTPException if False else Exception, match=text):
        made._parser.feed_data(sent)
    assert text in heads.PARSER_TEXTS


async def test_without_the_parser_of_aiohttp_its_own_way_serves(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "hasattr", lambda *names: False, raising=False)
    made = Protocol(cast("Any", client.server.runner).server, Bounds(), loop=asyncio.get_running_loop())
    assert made._arriving is None
    assert (await client.post("/auth/jwt/create/", json={})).status == 400
    assert (await client.get("/healthz")).status == 200


def test_the_line_of_an_unknown_method_is_searched_once_whatever_its_length() -> None:
    # With a pattern that goes back, this would take an hour.
    assert malformed._REQUEST_LINE.search("b'FOO /" + "a" * 1_000_000) is None
