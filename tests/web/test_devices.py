"""User-Agent headers in words: known programs by name, unknown ones as they name themselves (security 25)."""

import asyncio
import subprocess
import sys

import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from server.web.app_keys import DEVICES
from server.web.devices import load_devices
from tests.conftest import FrontdeskServer

SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
    " Mobile/15E148 Safari/604.1"
)
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (CHROME, "Chrome on Linux"),
        (SAFARI, "Mobile Safari on iOS"),
        ("curl/8.5.0", "curl"),
        ("FilmClub/1.2", "FilmClub"),
        ("my-agent", "my-agent"),
        ("", ""),
        ("(nothing)", ""),
        ("\u202e/1", ""),
        ("x" * 256, "x" * 64),
    ],
)
async def test_a_header_is_shown_in_words(header: str, words: str) -> None:
    assert await load_devices().in_words([header]) == [words]


async def test_the_patterns_are_loaded_before_the_service_listens_and_once_in_a_process(settings: Settings) -> None:
    app = create_app(settings)
    assert DEVICES not in app
    async with TestClient(FrontdeskServer(app)):
        assert app[DEVICES] is load_devices()


async def test_a_long_list_lets_other_requests_have_their_turn() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.ensure_future(others())
    await load_devices().in_words([FIREFOX] * 1000)
    running.cancel()
    assert turns >= 300


def test_a_command_that_does_not_serve_loads_no_patterns() -> None:
    code = "import sys, server.app; sys.exit(any(name.startswith('ua_parser') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
