"""Real clients and the service in processes of its own: aiohttp, requests and curl; four services behave as one."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import jwt
import pytest
import requests

from tests.conftest import PASSWORD, Client
from tests.processes import COUNTED, START_SECONDS, Started, eventually, header, register, surroundings
from tests.shell_blocks import block

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


async def test_requests_and_aiohttp_can_use_the_service(start: Callable[..., Started]) -> None:
    url = start().url
    await asyncio.to_thread(use_with_requests, url)
    account = {"username": "boris", "password": PASSWORD}
    async with aiohttp.ClientSession(url) as session:
        assert (await session.post("/auth/users/", json=account)).status == 201
        tokens = await (await session.post("/auth/jwt/create/", data=account)).json()
        me = await session.get("/auth/users/me/", headers=header(tokens))
        assert (me.status, (await me.json())["username"]) == (200, "boris")


def use_with_requests(url: str) -> None:
    """Register, sign in, read and change the profile."""
    tokens = register(url, "anna")
    assert requests.get(f"{url}/auth/users/me", headers=header(tokens), timeout=10).json()["username"] == "anna"
    profile = requests.get(f"{url}/api/accounts/all-profiles", headers=header(tokens), timeout=10).json()[0]
    response = requests.put(
        f"{url}/api/accounts/profile/{profile['id']}",
        headers=header(tokens),
        files={"location": (None, "Lisbon"), "is_creator": (None, "on")},
        timeout=10,
    )
    assert response.json() | {"updated_on": ""} == profile | {
        "location": "Lisbon",
        "is_creator": True,
        "updated_on": "",
    }


def test_curl_can_run_the_example_of_the_readme(start: Callable[..., Started]) -> None:
    url = start().url
    assert shutil.which("curl")
    script = block("README.md", "tour").replace("http://127.0.0.1:8080", url)
    responses = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=30).stdout.splitlines()
    kinds = [(re.findall(r'"(\w+)":', response) or [""])[0] for response in responses]
    assert kinds == ["email", "email", "email", "id", "id", "access", "", "detail"], responses
    assert '"location":"Lisbon","date_joined"' in responses[4]
    assert "token_not_valid" in responses[7]


def test_four_processes_on_one_database_behave_as_one(start: Callable[..., Started]) -> None:
    first, second, third, fourth = (start().url for _ in range(4))
    tokens = register(first, "anna")
    assert requests.get(f"{second}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 200
    assert requests.post(f"{third}/auth/jwt/blacklist/", json=tokens, timeout=10).status_code == 200
    for url in (first, second, third, fourth):
        assert requests.get(f"{url}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 401
    again = {"username": "ANNA", "password": PASSWORD}
    assert requests.post(f"{fourth}/auth/users/", json=again, timeout=10).status_code == 400


async def test_a_stop_cuts_no_request(start: Callable[..., Started]) -> None:
    service = start()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    assert children.read_text() == "", "one worker needs no other process"
    headers = header(await asyncio.to_thread(register, service.url, "anna"))
    answered: list[tuple[int, int]] = []

    async def keep_asking(session: aiohttp.ClientSession) -> None:
        with contextlib.suppress(aiohttp.ClientConnectorError):  # refused because the service has stopped: not cut
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


async def test_what_was_answered_before_a_kill_is_stored(start: Callable[..., Started], client: Client) -> None:
    service = start()
    tokens = await asyncio.to_thread(register, service.url, "anna")
    service.stop(signal.SIGKILL)
    async with client.get("/auth/users/me/", headers=header(tokens)) as response:
        assert response.status == 200


def test_a_revocation_holds_after_everything_was_killed(start: Callable[..., Started], tmp_path: Path) -> None:
    bundled = {"DATABASE_URL": "", "SIGNING_KEY": "", "DATA_DIR": str(tmp_path / "data")}
    service = start(**bundled)
    kept, signed_out, ended = register(service.url, "anna"), sign_in(service.url), sign_in(service.url)
    session = jwt.decode(ended["access"], options={"verify_signature": False})["sid"]
    url, headers = service.url, header(kept)
    assert requests.post(f"{url}/auth/jwt/blacklist/", json=signed_out, timeout=10).status_code == 200
    assert requests.delete(f"{url}/auth/sessions/{session}/", headers=headers, timeout=10).status_code == 204
    postgres = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    service.stop(signal.SIGKILL)
    os.kill(postgres, signal.SIGKILL)
    url = start(**bundled).url
    for tokens in (signed_out, ended):
        assert requests.get(f"{url}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 401
        assert requests.post(f"{url}/auth/jwt/refresh/", json=tokens, timeout=10).status_code == 401
    assert requests.get(f"{url}/auth/users/me/", headers=headers, timeout=10).status_code == 200


def sign_in(url: str) -> dict[str, str]:
    """Another session of anna: its tokens."""
    body = {"username": "anna", "password": PASSWORD}
    tokens: dict[str, str] = requests.post(f"{url}/auth/jwt/create/", json=body, timeout=10).json()
    return tokens


def test_the_bundled_postgresql_starts_and_the_signing_key_is_kept(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    bundled = {"DATABASE_URL": "", "SIGNING_KEY": "", "DATA_DIR": str(tmp_path / "data")} | COUNTED
    service = start(**bundled)
    tokens = register(service.url, "anna")
    assert service.stop() == 0
    assert (tmp_path / "data" / "signing_key").stat().st_mode & 0o777 == 0o600
    service = start(**bundled)
    assert requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10).status_code == 200
    assert service.stop() == 0


def test_every_fault_of_the_settings_is_named_and_the_service_does_not_start() -> None:
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


def test_a_killed_database_means_503_until_it_is_revived(start: Callable[..., Started], tmp_path: Path) -> None:
    service = start(DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"))
    tokens = register(service.url, "anna")
    pid = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    # Its child processes notice that a moment later, and may answer until then.
    assert until(service.url, tokens, 503).headers["Retry-After"] == "2"
    assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
    until(service.url, tokens, 200)
    assert service.stop() == 0


def until(url: str, tokens: dict[str, str], status: int) -> requests.Response:
    """Send requests until a response has `status`, and return that."""

    def matching() -> list[requests.Response]:  # a response with an error status is false
        response = requests.get(f"{url}/auth/users/me/", headers=header(tokens), timeout=20)
        return [response] if response.status_code == status else []

    return eventually(matching)[0]
