"""The address of a client: that of the connection, or the one that a trusted proxy names."""

import asyncio
import ipaddress
from typing import Any

import pytest

from server.settings.settings import Settings
from server.web.clients import HOPS_MAX
from tests.conftest import PASSWORD, Client
from tests.rows import Connection

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
BEHIND_A_PROXY: dict[str, Any] = {"trusted_proxies": LOOPBACK}
BEHIND_TWO: dict[str, Any] = {"trusted_proxies": (*LOOPBACK, ipaddress.ip_network("10.0.0.0/8"))}
FORWARDED: dict[str, Any] = BEHIND_A_PROXY | {"proxy_header": "forwarded"}


async def address_of_sign_in(client: Client, database: Connection, headers: Any) -> str:
    """The address in the event of a refused sign-in that was sent with `headers`."""
    body = {"username": "nobody", "password": PASSWORD}
    async with client.post("/auth/jwt/create/", json=body, headers=headers) as response:
        assert response.status == 401
    (row,) = database.execute("select host(address) as address from events").fetchall()
    return str(row["address"])


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_a_header_of_a_stranger_is_not_believed(client: Client, database: Connection, header: str) -> None:
    assert await address_of_sign_in(client, database, {header: "for=192.0.2.1"}) == "127.0.0.1"


@pytest.mark.parametrize("settings", [BEHIND_A_PROXY], indirect=True)
@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("198.51.100.7, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, unknown", "127.0.0.1"),
        ("192.0.2.1,", "127.0.0.1"),
        ("192.0.2.256", "127.0.0.1"),
        ("1" * 4000, "127.0.0.1"),
    ],
)
async def test_the_last_address_that_a_trusted_proxy_added_is_the_client(
    client: Client, database: Connection, header: str, address: str
) -> None:
    assert await address_of_sign_in(client, database, {"X-Forwarded-For": header}) == address


@pytest.mark.parametrize("settings", [BEHIND_TWO], indirect=True)
@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-For", "203.0.113.9, 192.0.2.1, 10.1.1.1")],
        [("X-Forwarded-For", "203.0.113.9, 192.0.2.1"), ("X-Forwarded-For", "10.1.1.1")],
    ],
    ids=["one header", "two headers"],
)
async def test_behind_two_proxies_the_client_is_the_first_that_is_no_proxy(
    client: Client, database: Connection, headers: Any
) -> None:
    assert await address_of_sign_in(client, database, headers) == "192.0.2.1"


@pytest.mark.parametrize("settings", [BEHIND_TWO], indirect=True)
@pytest.mark.parametrize(("proxies", "address"), [(15, "192.0.2.1"), (16, "10.0.0.1")])
async def test_at_most_16_proxies_are_looked_at(
    client: Client, database: Connection, proxies: int, address: str
) -> None:
    assert HOPS_MAX == 16
    hops = ["192.0.2.1", *(f"10.0.0.{number}" for number in range(1, proxies + 1))]
    assert await address_of_sign_in(client, database, {"X-Forwarded-For": ", ".join(hops)}) == address


@pytest.mark.parametrize("settings", [FORWARDED], indirect=True)
@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("for=192.0.2.1", "192.0.2.1"),
        ('For="[2001:db8::1]:4711"', "2001:db8::1"),
        ("for=198.51.100.7, proto=https;for=192.0.2.1;by=10.0.0.1", "192.0.2.1"),
        ("for=192.0.2.1, for=_hidden", "127.0.0.1"),
        ("for=192.0.2.1, for=unknown", "127.0.0.1"),
        ("by=192.0.2.1", "127.0.0.1"),
        # A proxy that quotes the Host of its client, with commas and escaped quotes in it.
        ('for=192.0.2.1;host="x,for=203.0.113.9";proto=https', "192.0.2.1"),
        (r'for=192.0.2.1;host="x\",for=203.0.113.9;y=\"z"', "192.0.2.1"),
        # A client that sends half of a quoted string.
        ('for="203.0.113.9, for="[2001:db8::1]"', "2001:db8::1"),
        ('for=203.0.113.9;by=", for=192.0.2.1', "192.0.2.1"),
        ('"' + r"\"" * 3000 + ", for=192.0.2.1", "192.0.2.1"),
    ],
)
async def test_the_forwarded_header_is_read_as_rfc_7239_says(
    client: Client, database: Connection, header: str, address: str
) -> None:
    assert await address_of_sign_in(client, database, {"Forwarded": header}) == address


@pytest.mark.parametrize("settings", [BEHIND_A_PROXY], indirect=True)
async def test_only_the_header_of_the_setting_is_read(client: Client, database: Connection) -> None:
    assert await address_of_sign_in(client, database, {"Forwarded": "for=192.0.2.1"}) == "127.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", "10.0.0.0/8 ::1"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    with pytest.raises(Exception, match="TRUSTED_PROXIES lists addresses and networks"):
        Settings.read({"TRUSTED_PROXIES": text})


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.1,0.0.0.0/1", "2000::/3"])
def test_proxies_everywhere_stop_the_start(text: str) -> None:
    with pytest.raises(Exception, match=r"TRUSTED_PROXIES .* any client could choose its own address"):
        Settings.read({"TRUSTED_PROXIES": text})


def test_the_largest_private_networks_may_be_those_of_proxies() -> None:
    assert len(Settings.read({"TRUSTED_PROXIES": "10.0.0.0/8,fc00::/7,172.16.0.0/12"}).trusted_proxies) == 3


async def test_a_program_name_that_is_no_text_is_kept_as_text(client: Client, database: Connection) -> None:
    body = b'{"username": "anna", "password": "wrong"}'
    head = b"POST /auth/jwt/create/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head + b"User-Agent: \xff" + b"x" * 5000 + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    (row,) = database.execute("select device from events").fetchall()
    assert row["device"] == "?" + "x" * 255
