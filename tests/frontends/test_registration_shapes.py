"""Every registration body that real front ends send (docs/migrate-a-front-end.md): from sign-up to sign-out.

Each shape needs settings and a site file, and no line of code.
"""

import dataclasses
from typing import Any

import pytest
from aiohttp import FormData

from server.settings import site
from server.settings.settings import Settings
from tests.conftest import Client, Letters
from tests.frontends.shapes import ADDRESS, EXAMPLES, SHAPES, Shape

PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple gun theory"
MODES = [pytest.param(False, id="active at once"), pytest.param(True, id="activation by letter")]


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Shape:
    found: Shape = SHAPES[request.param]
    return found


@pytest.fixture
def settings(settings: Settings, shape: Shape, activation: bool) -> Settings:
    found = site.read(str(EXAMPLES / f"{shape.site_file}.toml")) if shape.site_file else site.Site()
    return dataclasses.replace(
        settings, site_file=found, login_field=shape.login_field, send_activation_email=activation
    )


@dataclasses.dataclass
class FrontEnd:
    """A front end that sends every body in one media type."""

    client: Client
    media_type: str
    access: str = ""

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        return await self.send("POST", path, **fields)

    async def send(self, method: str, path: str, **fields: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"JWT {self.access}"} if self.access else {}
        async with self.client.request(method, path, headers=headers, **self._body(fields)) as response:
            return response.status, await response.json() if await response.read() else None

    def _body(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self.media_type == "json":
            return {"json": fields}
        texts = {name: "true" if value is True else value for name, value in fields.items()}
        if self.media_type == "form":
            return {"data": texts}
        form = FormData(default_to_multipart=True)
        for name, value in texts.items():
            form.add_field(name, value)
        return {"data": form}


async def one_link(letters: Letters) -> dict[str, str]:
    (letter,) = [each for each in await letters() if each.link]
    return letter.uid_and_token


@pytest.mark.parametrize("activation", MODES)
@pytest.mark.parametrize("media_type", ["json", "form", "multipart"])
@pytest.mark.parametrize("shape", SHAPES, indirect=True)
async def test_a_front_end_signs_people_up_and_finds_their_names(
    client: Client, letters: Letters, shape: Shape, media_type: str, activation: bool
) -> None:
    front_end = FrontEnd(client, media_type)
    passwords = {"password": PASSWORD, "re_password": PASSWORD}
    status, user = await front_end.post("/auth/users/", **shape.fields, **passwords)
    assert status == 201, user
    assert {name: user[name] for name in shape.fields} == shape.fields
    if activation:
        assert await front_end.post("/auth/users/activation/", **await one_link(letters)) == (204, None)
    login = "email" if shape.login_field == "email" else "username"
    signed_in = {login: shape.fields.get(login, ADDRESS), "password": PASSWORD}
    status, tokens = await front_end.post("/auth/jwt/create", **signed_in)
    assert status == 200, tokens
    status, api_token = await front_end.post("/auth/token/login/", **signed_in)
    assert (status, len(api_token["auth_token"])) == (200, 40)

    front_end.access = tokens["access"]
    async with client.get("/auth/users/me/", headers={"Authorization": f"JWT {front_end.access}"}) as response:
        assert (await response.json())[shape.greets_with] == shape.fields.get(shape.greets_with)
    _, profiles = await front_end.send("GET", "/api/accounts/all-profiles")
    assert [each["user"] for each in profiles] == [shape.fields[shape.greets_with]]
    front_end.access = ""
    assert (await front_end.post("/auth/jwt/refresh/", refresh=tokens["refresh"]))[0] == 200

    await letters()
    assert await front_end.post("/auth/users/reset_password/", email=ADDRESS) == (204, None)
    reset = {"new_password": NEW_PASSWORD, "re_new_password": NEW_PASSWORD}
    assert await front_end.post("/auth/users/reset_password_confirm/", **await one_link(letters), **reset) == (
        204,
        None,
    )
    status, tokens = await front_end.post("/auth/jwt/create/", **signed_in | {"password": NEW_PASSWORD})
    assert status == 200, tokens
    assert await front_end.post("/auth/jwt/blacklist/", refresh=tokens["refresh"]) == (200, {})
    assert (await front_end.post("/auth/jwt/refresh/", refresh=tokens["refresh"]))[0] == 401


@pytest.mark.parametrize("activation", [False])
@pytest.mark.parametrize("media_type", ["json", "form", "multipart"])
@pytest.mark.parametrize("shape", ["full name and terms"], indirect=True)
async def test_terms_that_are_not_agreed_to_are_a_fault(client: Client, shape: Shape, media_type: str) -> None:
    front_end = FrontEnd(client, media_type)
    given = {**shape.fields, "password": PASSWORD, "agreed_to_terms": "false"}
    assert await front_end.post("/auth/users/", **given) == (400, {"agreed_to_terms": ["This field must be accepted."]})
    absent = (400, {"agreed_to_terms": ["This field is required."]})
    refused = (400, {"agreed_to_terms": ["This field must be accepted."]})
    given.pop("agreed_to_terms")
    assert await front_end.post("/auth/users/", **given) == (absent if media_type == "json" else refused)


@pytest.mark.parametrize("activation", [False])
@pytest.mark.parametrize("shape", ["first and last name"], indirect=True)
async def test_letters_of_a_site_without_usernames_speak_of_none(
    client: Client, letters: Letters, shape: Shape
) -> None:
    front_end = FrontEnd(client, "json")
    assert (await front_end.post("/auth/users/", **shape.fields, password=PASSWORD))[0] == 201
    await front_end.post("/auth/users/reset_password/", email=ADDRESS)
    (letter,) = await letters()
    assert "username" not in letter.text + letter.html
    assert "\n\n\n" not in letter.text


@pytest.mark.parametrize("activation", [False])
@pytest.mark.parametrize("shape", ["first and last name"], indirect=True)
async def test_a_site_without_usernames_neither_asks_for_one_nor_shows_one(client: Client, shape: Shape) -> None:
    front_end = FrontEnd(client, "json")
    status, user = await front_end.post("/auth/users/", **shape.fields, password=PASSWORD, username="ignored")
    assert (status, list(user)) == (201, ["email", "id", "first_name", "last_name", "phone_number"])
    assert await front_end.post("/auth/users/", password=PASSWORD) == (
        400,
        {name: ["This field is required."] for name in ("email", "first_name", "last_name")},
    )


def test_every_shape_names_a_site_file_that_exists() -> None:
    files = {shape.site_file for shape in SHAPES.values()} - {""}
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == files
