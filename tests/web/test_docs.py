"""The OpenAPI document is valid and complete; Swagger UI is served by the service alone (security 35)."""

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from server.app import create_app
from server.settings.settings import Settings
from server.web.documentation.endpoints import SWAGGER_FILES, document
from tests.conftest import Client

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def described(settings: Settings) -> dict[str, Any]:
    return document(create_app(settings))


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(path, method): each for path, item in described["paths"].items() for method, each in item.items()}


def test_the_document_is_valid(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    validate(described)


def test_a_second_application_has_the_same_document(described: dict[str, Any], settings: Settings) -> None:
    assert document(create_app(settings)) == described


def test_every_operation_has_a_unique_id_a_summary_and_a_tag(described: dict[str, Any]) -> None:
    names = [each["operationId"] for each in operations(described).values()]
    assert len(names) == len(set(names)) == 40
    for operation in operations(described).values():
        assert operation["summary"]
        assert operation["tags"]


def test_every_path_is_listed_once_without_head_and_options(described: dict[str, Any]) -> None:
    assert len({path.rstrip("/") for path in described["paths"]}) == len(described["paths"])
    assert {method for _, method in operations(described)} <= METHODS


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/auth/users/", "post", {201, 400, 401, 406, 408, 413, 415, 429, 503}),
        ("/auth/users/{id}/", "delete", {204, 400, 401, 403, 404, 406, 408, 413, 415, 429, 503}),
        ("/auth/jwt/create/", "post", {200, 400, 401, 406, 408, 413, 415, 429, 503}),
        ("/api/accounts/all-profiles", "post", {201, 400, 401, 406, 408, 409, 413, 415, 503}),
        ("/api/accounts/profile/{id}", "put", {200, 400, 401, 403, 404, 406, 408, 413, 415, 503}),
        ("/healthz", "get", {200, 400, 406}),
    ],
)
def test_every_status_of_an_operation_is_listed(
    described: dict[str, Any], path: str, method: str, statuses: set[int]
) -> None:
    assert {int(status) for status in operations(described)[path, method]["responses"]} == statuses


def test_bodies_have_three_media_types_and_examples(described: dict[str, Any]) -> None:
    content = operations(described)["/auth/users/", "post"]["requestBody"]["content"]
    assert list(content) == ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    fields = described["components"]["schemas"]["Registration"]["properties"]
    assert fields["username"]["type"] == ["string", "number"]
    assert fields["username"].items() >= {"maxLength": 150, "minLength": 1, "example": "anna"}.items()
    assert fields["password"]["writeOnly"] is True
    assert described["components"]["schemas"]["ProfileEdit"]["properties"]["description"]["type"] == [
        "string",
        "null",
        "number",
    ]


@pytest.mark.parametrize(
    ("path", "method", "needed"),
    [
        ("/auth/users/", "post", True),
        ("/auth/users/me/", "delete", True),
        ("/auth/jwt/refresh/", "post", True),
        ("/auth/users/me/", "patch", False),
        ("/api/accounts/profile/{id}", "put", False),
        ("/api/accounts/all-profiles", "post", False),
    ],
)
def test_a_body_is_required_if_one_of_its_fields_is(
    described: dict[str, Any], path: str, method: str, needed: bool
) -> None:
    assert operations(described)[path, method]["requestBody"]["required"] is needed


def test_only_public_operations_need_no_token(described: dict[str, Any]) -> None:
    public = {path for (path, _), each in operations(described).items() if each["security"] == []}
    sign_in = {f"/auth/jwt/{name}/" for name in ("create", "refresh", "verify", "blacklist")}
    acts = ("activation", "resend_activation", "reset_password", "reset_username")
    letters = {f"/auth/users/{act}/" for act in (*acts, "reset_password_confirm", "reset_username_confirm")}
    others = {"/auth/", "/auth/users/", "/auth/token/login/", "/api/roles/", "/api/site/", "/healthz", "/readyz"}
    assert public == others | sign_in | letters
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_the_document_is_served_as_json(client: Client, described: dict[str, Any]) -> None:
    response = await client.get("/openapi.json")
    assert (response.status, response.content_type, await response.json()) == (200, "application/json", described)


async def test_the_root_path_redirects_to_swagger_ui(client: Client) -> None:
    response = await client.get("/", headers={"Accept": "text/html"})
    assert (response.status, response.url.path) == (200, "/docs")


async def test_swagger_ui_runs_only_scripts_of_the_service(client: Client) -> None:
    response = await client.get("/docs?url=https://evil.example&configUrl=https://evil.example")
    page = await response.text()
    policy = response.headers["Content-Security-Policy"]
    assert (response.status, response.content_type) == (200, "text/html")
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert re.findall(r"<script(?! src=\"/docs/[\w.-]+\"></script>)", page) == []
    assert "evil" not in page
    assert re.findall(r"https?:", page) == []


@pytest.mark.parametrize("name", SWAGGER_FILES)
async def test_its_files_are_sent_again_only_when_they_have_changed(client: Client, name: str) -> None:
    response = await client.get(f"/docs/{name}")
    assert response.status == 200
    assert response.content_type in ("text/javascript", "application/javascript", "text/css", "image/png")
    again = await client.get(f"/docs/{name}", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize(
    ("known", "status"),
    [("W/{}", 304), ('"other", {}', 304), ('"other" ,W/{},"x"', 304), ("*", 304), ('"other"', 200), ("x{}", 200)],
)
async def test_if_none_match_is_compared_weakly(client: Client, known: str, status: int) -> None:
    tag = (await client.get("/docs/start.js")).headers["ETag"]
    again = await client.get("/docs/start.js", headers={"If-None-Match": known.format(tag)})
    assert again.status == status


@pytest.mark.parametrize("name", ["index.html", "__init__.py", "..%2fdocs.py", "nothing.js", "LICENSE"])
async def test_no_other_file_is_served(client: Client, name: str) -> None:
    assert (await client.get(f"/docs/{name}")).status == 404


async def test_swagger_ui_reads_no_query_and_stores_nothing(client: Client) -> None:
    start = await (await client.get("/docs/start.js")).text()
    for setting in (
        'new URL("../openapi.json", document.currentScript.src)',
        "queryConfigEnabled: false",
        "persistAuthorization: false",
        "validatorUrl: null",
    ):
        assert setting in start


async def test_a_file_of_swagger_ui_is_read_from_disk_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await (await client.get("/docs/swagger-ui.css")).read()

    def fail(path: Path) -> bytes:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(Path, "read_bytes", fail)
    for _ in range(2):
        assert await (await client.get("/docs/swagger-ui.css")).read() == first


def test_every_link_leads_to_an_operation_and_fills_what_it_takes(described: dict[str, Any]) -> None:
    by_id = {each["operationId"]: each for each in operations(described).values()}
    links = [
        link
        for each in by_id.values()
        for response in each["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) >= 10
    for link in links:
        operation = by_id[link["operationId"]]
        taken = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert set(link.get("parameters", {})) == taken
        if "requestBody" in link:
            reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            schema = described["components"]["schemas"][reference.rpartition("/")[2]]
            assert set(link["requestBody"]) == set(schema["required"])
