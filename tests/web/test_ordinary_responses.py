"""Ordinary responses are the same bytes as aiohttp's own way writes, but for ids and dates."""

import dataclasses
import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from server.web.ordinary_responses import OrdinaryResponse
from server.web.plain_paths import PlainPaths
from tests.conftest import Client, FrontdeskServer, Person
from tests.web.connections import opened

VERIFY = '{"token": "x"}'

KINDS = {
    "a read": "GET {me} HTTP/1.1\r\n{bearer}",
    "a read without the last slash": "GET /auth/users/me HTTP/1.1\r\n{bearer}",
    "a read with a query": "GET {me}?x=1 HTTP/1.1\r\n{bearer}",
    "a read with an escape in the path": "GET /auth/users/m%65/ HTTP/1.1\r\n{bearer}",
    "a read of one's profile": "GET {profile} HTTP/1.1\r\n{bearer}",
    "a read of one's profile with a slash": "GET {profile}/ HTTP/1.1\r\n{bearer}",
    "a profile of an id with zeros": "GET {zeros} HTTP/1.1\r\n{bearer}",
    "a profile of an id that is too large": "GET /api/accounts/profile/99999999999999999999 HTTP/1.1\r\n{bearer}",
    "a profile of an id in other digits": "GET /api/accounts/profile/%D9%A1 HTTP/1.1\r\n{bearer}",
    "a name where an id belongs": "GET /api/accounts/profile/x HTTP/1.1\r\n{bearer}",
    "an account by its id": "GET {account} HTTP/1.1\r\n{bearer}",
    "two slashes": "GET /auth//users/me/ HTTP/1.1\r\n{bearer}",
    "an absolute target": "GET http://x{me} HTTP/1.1\r\n{bearer}",
    "HEAD": "HEAD {me} HTTP/1.1\r\n{bearer}",
    "OPTIONS": "OPTIONS {me} HTTP/1.1\r\n{bearer}",
    "another method": "TRACE {me} HTTP/1.1\r\n{bearer}",
    "HTTP/1.0": "GET {me} HTTP/1.0\r\n{bearer}",
    "HTTP/1.0 that stays open": "GET {me} HTTP/1.0\r\nConnection: keep-alive\r\n{bearer}",
    "a connection that the client closes": "GET {me} HTTP/1.1\r\nConnection: close\r\n{bearer}",
    "an upgrade": "GET {me} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{bearer}",
    "an id of the client": "GET {me} HTTP/1.1\r\nX-Request-ID: mine\r\n{bearer}",
    "a page of another site": "GET {me} HTTP/1.1\r\nOrigin: https://listed.example\r\n{bearer}",
    "nobody": "GET {me} HTTP/1.1\r\n",
    "a path that is none": "GET /nothing HTTP/1.1\r\n",
    "health": "GET /healthz HTTP/1.1\r\n",
    "a body": "POST /auth/jwt/verify/ HTTP/1.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(VERIFY)}\r\n\r\n{VERIFY}",
    "a body that the client waits to send": "POST /auth/jwt/verify/ HTTP/1.1\r\nExpect: 100-continue\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(VERIFY)}\r\n\r\n{VERIFY}",
    "another expectation": "GET {me} HTTP/1.1\r\nExpect: nothing\r\n{bearer}",
    "no content": "DELETE /auth/sessions/ HTTP/1.1\r\n{bearer}",
    "a list": "GET /api/accounts/all-profiles HTTP/1.1\r\n{bearer}",
}


async def answer(client: Client, sent: bytes) -> bytes:
    """What the service sends for `sent` and for a last request, with ids and dates made equal."""
    async with opened(client, sent + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as (reader, _):
        text = await reader.read()
    text = re.sub(rb"X-Request-ID: (?!mine)\S+", b"X-Request-ID: id", text)
    return re.sub(rb"Date: [^\r]+", b"Date: then", text)


async def answers(person: Person) -> dict[str, bytes]:
    """The answer to each kind of request."""
    profile = f"/api/accounts/profile/{(await person.profile())['id']}"
    places = {
        "me": "/auth/users/me/",
        "profile": profile,
        "zeros": profile.replace("profile/", "profile/00"),
        "account": f"/auth/users/{person.id}/",
        "bearer": f"Authorization: {person.header['Authorization']}\r\n",
    }
    found = {}
    for kind, template in KINDS.items():
        head, _, body = template.partition("\r\n\r\n")
        for name, value in places.items():
            head = head.replace(f"{{{name}}}", value)
        sent = f"{head.rstrip()}\r\nHost: x\r\n\r\n{body}"
        found[kind] = await answer(person.client, sent.encode())
    return found


@pytest.mark.parametrize("origins", [(), ("https://listed.example",)])
async def test_both_ways_send_the_same_bytes(
    settings: Settings, anna: Person, monkeypatch: pytest.MonkeyPatch, origins: tuple[str, ...]
) -> None:
    app = create_app(dataclasses.replace(settings, cors_origins=origins))
    async with TestClient(FrontdeskServer(app)) as client:
        person = dataclasses.replace(anna, client=client)
        written: list[OrdinaryResponse] = []
        write_to = OrdinaryResponse.write_to

        def counted(response: OrdinaryResponse, *given: Any) -> bool:
            written.append(response)
            return write_to(response, *given)

        monkeypatch.setattr(OrdinaryResponse, "write_to", counted)
        ordinary = await answers(person)
        assert len(written) > 10
        written.clear()
        monkeypatch.setattr(OrdinaryResponse, "suits", lambda *_: False)
        monkeypatch.setattr(PlainPaths, "handle", lambda self, request: self._router(request))
        assert await answers(person) == ordinary
        assert written == []
    assert [kind for kind, text in ordinary.items() if not text.startswith(b"HTTP/1.")] == []
