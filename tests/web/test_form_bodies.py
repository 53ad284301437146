"""Form and multipart bodies: bounded and strict; the last of a repeated key counts (contract 1.2)."""

from urllib.parse import parse_qsl

import pytest
from aiohttp import FormData

from server.web.body_formats import parse_form
from tests.conftest import PASSWORD, Client, Person
from tests.web.sending import FORM, MULTIPART, send


async def test_the_last_of_a_repeated_form_key_counts(anna: Person) -> None:
    twice = f"username=x&password=y&username=anna&password={PASSWORD.replace(' ', '+')}"
    assert (await send(anna.client, twice, FORM))[0] == 200


@pytest.mark.parametrize("data", [b"username=%ED%A0%80", b"username=%ff", b"\xff=1", b"&".join([b"a=1"] * 1001)])
async def test_a_broken_form_is_a_parse_error(client: Client, data: bytes) -> None:
    status, fault = await send(client, data, FORM)
    assert (status, fault["detail"].startswith("Form parse error - ")) == (400, True)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"a=1&b=+2+%2B&&c&d==x=", {"a": "1", "b": " 2 +", "c": "", "d": "=x="}),
        ("ä%C3%A4ä=%e6%bc%a2ä".encode(), {"äää": "漢ä"}),
        (b"a=%zz%4&%41=100%", {"a": "%zz%4", "A": "100%"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"", {}),
    ],
)
def test_a_form_is_read_as_the_standard_library_reads_it(data: bytes, fields: dict[str, str]) -> None:
    assert parse_form(data) == fields == dict(parse_qsl(data.decode(), keep_blank_values=True))


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (part("username", b"anna"), "multipart/form-data; boundary=x"),
        (part("username", b"\xff") + b"--x--\r\n", "multipart/form-data; boundary=x"),
        (part("a", b"1") * 1001 + b"--x--\r\n", "multipart/form-data; boundary=x"),
        (part("username", b"anna") + b"--x--\r\n", "multipart/form-data"),
        (part("username", b"anna") + b"--x--\r\n", "multipart/form-data; boundary=" + "x" * 71),
        (b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_a_broken_multipart_is_a_parse_error(client: Client, data: bytes, kind: str) -> None:
    status, fault = await send(client, data, {"Content-Type": kind}, "/auth/users/")
    assert (status, fault.get("detail", "")[:29]) == (400, "Multipart form parse error - "), fault


@pytest.mark.parametrize("pair", [(b"a", b"\xff"), (b"\xff", b"1")])
async def test_multipart_names_and_values_that_are_not_utf_8_are_a_parse_error(
    client: Client, pair: tuple[bytes, bytes]
) -> None:
    data = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--x--\r\n' % pair
    fault = {"detail": "Multipart form parse error - Names and values are UTF-8"}
    assert await send(client, data, MULTIPART) == (400, fault)


async def test_the_last_of_a_repeated_multipart_key_counts(anna: Person) -> None:
    fields = [("username", b"x"), ("password", PASSWORD.encode()), ("username", b"anna")]
    twice = b"".join(part(name, value) for name, value in fields) + b"--x--\r\n"
    assert (await send(anna.client, twice, MULTIPART))[0] == 200


async def test_a_file_is_not_a_text_and_not_a_flag(anna: Person) -> None:
    form = FormData()
    for name in ("location", "description", "is_creator"):
        form.add_field(name, b"true", filename="file.txt")
    status, faults = await anna.put(f"/api/accounts/profile/{(await anna.profile())['id']}", data=form)
    text = ["Not a valid string."]
    assert (status, faults) == (
        400,
        {"location": text, "description": text, "is_creator": ["Must be a valid boolean."]},
    )


async def test_escaped_bytes_of_a_form_are_bounded(anna: Person) -> None:
    path = f"/api/accounts/profile/{(await anna.profile())['id']}"
    fits = "description=" + "%E6%BC%A2" * (16 * 1024 // 3)  # the longest description
    assert (await anna.put(path, data=fits.encode(), headers=FORM))[0] == 200
    status, fault = await anna.put(path, data=("x=" + "%41" * 18_001).encode(), headers=FORM)
    assert (status, fault["detail"][:39]) == (400, "Form parse error - More than 18000 esca")
    long = "x=" + "a" * 131_072
    assert (await anna.put(path, data=(long + "%41" * 9_000).encode(), headers=FORM))[0] == 200
    status, fault = await anna.put(path, data=(long + "%41" * 9_001).encode(), headers=FORM)
    assert (status, fault["detail"][:38]) == (400, "Form parse error - More than 9000 esca")


@pytest.mark.parametrize(
    "part",
    [
        b"--x\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n",
        b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 600 + b"\r\n\r\n1\r\n",
        (b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 400 + b"\r\n\r\n1\r\n") * 200,
    ],
    ids=["many", "long", "long together"],
)
async def test_headers_of_a_multipart_body_are_bounded(client: Client, part: bytes) -> None:
    status, fault = await send(client, part + b"--x--\r\n", MULTIPART, "/auth/users/")
    assert (status, fault["detail"][:29]) == (400, "Multipart form parse error - ")
    short = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 1000
    status, fault = await send(client, short + b"--x--\r\n", MULTIPART, "/auth/users/")
    assert "username" in fault  # it was read
