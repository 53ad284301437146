"""The lines of docs/proxies.md, tried with the proxies themselves: below a path of a site (contract 11.33)."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, post

DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"
NGINX = """daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; {lines} }}
}}
"""


def documented(name: str) -> str:
    """The lines for one proxy."""
    found = re.search(rf"```{name}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


def config(name: str, folder: Path, port: int, service: str) -> str:
    """A whole configuration with the documented lines, on loopback."""
    lines = documented(name).replace("127.0.0.1:8080", service)
    if name == "nginx":
        return NGINX.format(folder=folder, port=port, lines=lines)
    lines = lines.replace("host.example {", f"http://127.0.0.1:{port} {{", 1)
    return f"{{\n admin off\n}}\n{lines}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, public_url="https://host.example/accounts")


@pytest.fixture(params=["nginx", "caddy"])
async def proxy(request: pytest.FixtureRequest, client: Client, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of the service behind one proxy."""
    program = shutil.which(request.param, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"{request.param} is not installed (apt-get install {request.param})")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    written = tmp_path / "config"
    written.write_text(config(request.param, tmp_path, port, f"127.0.0.1:{client.port}"))
    options = ["-p", str(tmp_path), "-c", str(written)]
    if request.param == "caddy":
        options = ["run", "--adapter", "caddyfile", "--config", str(written)]
    process = await asyncio.create_subprocess_exec(program, *options, env={"HOME": str(tmp_path)})
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    assert process.returncode is None, "the proxy has ended"
                    await asyncio.sleep(0.05)
        writer.close()
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_the_service_works_below_the_path(proxy: str, client: Client) -> None:
    for name in ("anna", "boris"):
        await post(client, "/auth/users/", username=name, password=PASSWORD)
    async with aiohttp.ClientSession(proxy) as session:
        given = {"username": "anna", "password": PASSWORD}
        async with session.post("/accounts/auth/jwt/create/", json=given) as response:
            assert response.status == 200
            access = (await response.json())["access"]
        headers = {"Authorization": f"Bearer {access}"}
        async with session.get("/accounts/api/accounts/all-profiles?limit=1", headers=headers) as response:
            following = URL(response.links["next"]["url"]).path_qs
            assert following.startswith("/accounts/api/accounts/all-profiles?")
        async with session.get(following, headers=headers) as response:
            assert [profile["user"] for profile in await response.json()] == ["boris"]


async def test_swagger_ui_and_the_document_are_below_the_path(proxy: str) -> None:
    async with aiohttp.ClientSession(proxy) as session:
        async with session.get("/accounts") as response:  # by way of /accounts/ and /accounts/docs
            assert (response.status, response.url.path) == (200, "/accounts/docs")
            parts = re.findall(r'(?:href|src)="(.*?)"', await response.text())
        assert parts
        for part in parts:
            async with session.get(part) as response:
                assert response.status == 200, part
        async with session.get("/accounts/openapi.json") as response:
            assert (await response.json())["servers"] == [{"url": "/accounts"}]
