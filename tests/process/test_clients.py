"""Real clients against a started process: aiohttp, requests and curl; four processes that behave as one."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from tests.conftest import PASSWORD
from tests.processes import COUNTED, START_SECONDS, Started, header, register, surroundings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


async def test_requests_and_aiohttp_take_the_tour(start: Callable[..., Started]) -> None:
    url = start().url
    await asyncio.to_thread(tour_of_requests, url)
    account = {"username": "boris", "password": PASSWORD}
    async with aiohttp.ClientSession(url) as session:
        assert (await session.post("/auth/users/", json=account)).status == 201
        tokens = await (await session.post("/auth/jwt/create/", data=account)).json()
        me = await session.get("/auth/users/me/", headers=header(tokens))
        assert (me.status, (await me.json())["username"]) == (200, "boris")


def tour_of_requests(url: str) -> None:
    tokens = register(url, "anna")
    assert requests.get(f"{url}/auth/users/me", headers=header(tokens), timeout=10).json()["username"] == "anna"
    profile = requests.get(f"{url}/api/accounts/all-profiles", headers=header(tokens), timeout=10).json()[0]
    answer = requests.put(
        f"{url}/api/accounts/profile/{profile['id']}",
        headers=header(tokens),
        files={"location": (None, "Lisbon"), "is_creator": (None, "on")},
        timeout=10,
    )
    assert answer.json() | {"updated_on": ""} == profile | {"location": "Lisbon", "is_creator": True, "updated_on": ""}


def test_curl_takes_the_tour_of_the_readme(start: Callable[..., Started]) -> None:
    url = start().url
    tour = re.search(r"Paste this.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tour
    assert shutil.which("curl")
    script = tour[1].replace("http://127.0.0.1:8080", url)
    answers = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=30).stdout.splitlines()
    kinds = [(re.findall(r'"(\w+)":', answer) or [""])[0] for answer in answers]
    assert kinds == ["email", "email", "email", "id", "id", "access", "", "detail"], answers
    assert '"location":"Lisbon","date_joined"' in answers[4]
    assert "token_not_valid" in answers[7]


def test_four_processes_on_one_database_behave_as_one(start: Callable[..., Started]) -> None:
    first, second, third, fourth = (start().url for _ in range(4))
    tokens = register(first, "anna")
    assert requests.get(f"{second}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 200
    assert requests.post(f"{third}/auth/jwt/blacklist/", json=tokens, timeout=10).status_code == 200
    for url in (first, second, third, fourth):
        assert requests.get(f"{url}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 401
    again = {"username": "ANNA", "password": PASSWORD}
    assert requests.post(f"{fourth}/auth/users/", json=again, timeout=10).status_code == 400


async def test_no_request_is_cut_when_the_service_is_told_to_stop(start: Callable[..., Started]) -> None:
    service = start()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    assert children.read_text() == "", "one process is one process"
    headers = header(await asyncio.to_thread(register, service.url, "anna"))
    answered = []

    async def keep_asking(session: aiohttp.ClientSession) -> None:
        with contextlib.suppress(aiohttp.ClientConnectorError):  # the door is shut: that is no cut
            while True:
                async with session.get("/auth/users/me/", headers=headers) as response:
                    answered.append((response.status, len(await response.read())))

    async with aiohttp.ClientSession(service.url) as session:
        asking = [asyncio.create_task(keep_asking(session)) for _ in range(30)]
        while len(answered) < 300:
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(service.stop) == 0
        await asyncio.gather(*asking)
    assert {status for status, _ in answered} == {200}


async def test_what_was_answered_before_a_kill_is_there_after_it(start: Callable[..., Started], client: Any) -> None:
    service = start()
    tokens = await asyncio.to_thread(register, service.url, "anna")
    service.stop(signal.SIGKILL)
    async with client.get("/auth/users/me/", headers=header(tokens)) as answer:
        assert answer.status == 200


def test_the_bundled_database_starts_and_keeps_its_key(start: Callable[..., Started], tmp_path: Path) -> None:
    bundled = {"DATABASE_URL": "", "SIGNING_KEY": "", "DATA_DIR": str(tmp_path / "data")} | COUNTED
    service = start(**bundled)
    tokens = register(service.url, "anna")
    assert service.stop() == 0
    assert (tmp_path / "data" / "signing_key").stat().st_mode & 0o777 == 0o600
    service = start(**bundled)
    assert requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 200
    assert service.stop() == 0


def test_faulty_settings_stop_the_start_with_every_fault_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=surroundings(PORT="x", BCRYPT_ROUNDS="99", DATABASE_URL="postgresql://h/d"),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert ended.returncode == 2
    assert [line.split()[0] for line in ended.stderr.splitlines()] == ["PORT", "BCRYPT_ROUNDS", "SIGNING_KEY"]


def test_a_killed_database_is_503_and_comes_back_by_itself(start: Callable[..., Started], tmp_path: Path) -> None:
    service = start(DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"))
    tokens = register(service.url, "anna")
    pid = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    # Its children see that it is gone a moment later, and may answer until then.
    assert until(service.url, tokens, 503).headers["Retry-After"] == "2"
    assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
    until(service.url, tokens, 200)
    assert service.stop() == 0


def until(url: str, tokens: dict[str, str], status: int) -> requests.Response:
    """Ask until the answer has `status`."""
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends:
        answer = requests.get(f"{url}/auth/users/me/", headers=header(tokens), timeout=20)
        if answer.status_code == status:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"no {status} came")
