"""Failures of the link pages: every one is a page, none reveals a secret, and no log line has a token."""

import asyncio
import io
import logging
from typing import Any

import asyncpg
import pytest
from yarl import URL

from server.auth.one_time_tokens import PASSWORD_RESET
from server.errors import Unavailable
from server.web.app_keys import DB
from tests.conftest import Client, Person
from tests.logs import lines, written
from tests.web.page_reading import PAGES, VALID_FIELDS, Outline, issue, send, title


@pytest.mark.parametrize(
    "link", ["MQ/abc.x", "MQ/%3Eabc", "MQ/a%20b", "MQ/" + "a" * 257, "M.Q/abc", "MQ/%00", "MQ/a%0Ab", "MQ/é"]
)
async def test_a_damaged_link_is_a_404_page(client: Client, link: str) -> None:
    for path in ("/activate/", "/password/reset/", "/username/reset/"):
        for response in (await client.get(path + link), await client.post(path + link)):
            assert (response.status, response.content_type) == (404, "text/html")
            assert title(await response.text()) == "There is nothing here – Frontdesk"


@pytest.mark.parametrize("path", ["/activate/MQ", "/activate/MQ/a/b", "/activate//a", "/password/MQ/a", "/pages/x"])
async def test_other_paths_are_404_in_json(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, await response.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("path", PAGES)
async def test_other_methods_are_a_405_page(client: Client, path: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE"):
        response = await client.request(method, path, headers={"Accept": "text/html"})
        assert (response.status, response.content_type) == (405, "text/html")
        assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("sent", "content_type", "status"),
    [
        (b"<xml/>", "text/xml", 415),
        (b"x" * (1024 * 1024 + 1), "application/x-www-form-urlencoded", 413),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=b"] * 2000), "application/x-www-form-urlencoded", 400),
        (b"[]", "application/json", 400),
        (b'{"new_username": "\\ud800"}', "application/json", 400),
        (b'{"new_username": []}', "application/json", 400),
        (b"--x", "multipart/form-data; boundary=x", 400),
    ],
)
@pytest.mark.parametrize("path", PAGES)
async def test_a_body_that_no_form_sends_is_refused_by_a_page(
    client: Client, path: str, sent: bytes, content_type: str, status: int
) -> None:
    response = await client.post(path, data=io.BytesIO(sent), headers={"Content-Type": content_type})
    assert (response.status, response.content_type) == (status, "text/html")
    assert "Frontdesk</title>" in await response.text()


async def test_the_authorization_header_is_ignored(client: Client, live_pages: tuple[str, ...]) -> None:
    for header in ("Bearer nonsense", "Token", "Bearer a b"):
        for path in live_pages:
            assert (await client.get(path, headers={"Authorization": header, "Accept": "image/png"})).status == 200
        for path in PAGES:
            assert (await client.post(path, headers={"Authorization": header})).status == 400


async def test_an_unavailable_database_is_a_503_page_with_a_link_to_try_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(client.app[DB], "row", fail)
    for path in PAGES:
        async with client.post(path, data=VALID_FIELDS[path[:9]]) as response:
            text = await response.text()
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert (title(text), {"href": ""} in Outline(text).all("a")) == ("Please try again – Frontdesk", True)


@pytest.mark.breaks_the_service
async def test_an_unforeseen_failure_is_a_500_page_that_reveals_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise asyncpg.DataError("a row with a secret")

    monkeypatch.setattr(client.app[DB], "row", fail)
    status, text = await send(client, "/activate/MQ/a-token-that-was-never-issued")
    assert (status, title(text)) == (500, "Something went wrong – Frontdesk")
    assert "secret" not in text
    assert "POST /activate/{uid}/{token} failed" in caplog.text
    assert "a-token-that-was-never-issued" not in caplog.text


@pytest.mark.parametrize("settings", [{"access_log": True}], indirect=True)
async def test_no_log_line_has_the_token(client: Client, anna: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = await issue(client, anna, PASSWORD_RESET)
    uid, token = path.split("/")[-2:]
    await client.get(path)
    await client.put(path)
    for glued in (".", ">", ")", ";", "%22", ",", "'", '"', "%3E).", "!"):
        await client.get(URL(path + glued, encoded=True))
        await client.get(URL(f"{path}x{glued}", encoded=True))
    await client.get(path + "/more")
    await client.get(path.replace("/password", "/passwords"))
    await client.post(path, data=b"a=%ff", headers={"Content-Type": "application/x-www-form-urlencoded"})
    await client.post(path, data=b"", headers={"Expect": "the-impossible"})
    await send(client, path, **VALID_FIELDS["/password"])
    for raw in (f"GET {path} HTTP/1.1\r\nbroken\r\n\r\n", f"GET {path} HTTP/9\r\n\r\n", f"{path}\r\n\r\n"):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(raw.encode())
        await reader.read()
        writer.close()
    requests = [line for line in lines(caplog) if line["message"] == "request"]
    assert [line["path"] for line in requests].count("/password/reset/{uid}/{token}") == 24
    unknown = [(line["method"], line["path"], line["status"]) for line in requests if line["route"] == "unknown"]
    assert unknown[-2:] == [
        ("GET", f"/password/reset/{uid}/…/more", 404),
        ("GET", f"/passwords/reset/{uid}/…", 404),
    ]
    assert caplog.text.count("malformed request") == 3
    assert token not in written(caplog)
