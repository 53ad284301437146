"""The OpenAPI document is valid and complete; Swagger UI is served by the service alone (security 35)."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
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
    assert len(names) == len(set(names)) == 41
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


def test_a_body_has_one_media_type_and_a_field_one_type(described: dict[str, Any]) -> None:
    for operation in operations(described).values():
        assert list(operation.get("requestBody", {}).get("content", ["application/json"])) == ["application/json"]
    fields = described["components"]["schemas"]["Registration"]["properties"]
    assert fields["username"]["type"] == "string"
    assert fields["username"].items() >= {"maxLength": 150, "minLength": 1, "example": "anna"}.items()
    assert described["components"]["schemas"]["ProfileInput"]["properties"]["description"]["type"] == ["string", "null"]
    assert described["components"]["schemas"]["ProfileInput"]["properties"]["is_creator"]["type"] == "boolean"


def test_no_field_splits_a_schema_into_one_to_read_and_one_to_write(described: dict[str, Any]) -> None:
    assert re.findall("writeOnly|readOnly", json.dumps(described)) == []


def test_the_whole_document_has_three_media_types_and_all_spellings(settings: Settings) -> None:
    whole = document(create_app(settings), is_whole=True)
    validate(whole)
    content = operations(whole)["/auth/users/", "post"]["requestBody"]["content"]
    assert list(content) == ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    fields = whole["components"]["schemas"]["ProfileInput"]["properties"]
    assert fields["description"]["type"] == ["string", "null", "number"]
    assert {"enum": [0, 1]} in fields["is_creator"]["anyOf"]


def test_one_application_has_both_documents(described: dict[str, Any], settings: Settings) -> None:
    app = create_app(settings)
    whole = document(app, is_whole=True)
    assert operations(whole).keys() == operations(described).keys()
    assert document(app) == described


@pytest.mark.parametrize(
    "changed",
    [
        {"login_field": "email"},
        {"user_create_password_retype": True, "set_password_retype": True, "password_reset_confirm_retype": True},
        {"set_username_retype": True, "username_reset_confirm_retype": True, "refresh_rotation": True},
    ],
)
def test_no_setting_changes_the_name_of_a_schema(
    described: dict[str, Any], settings: Settings, changed: dict[str, Any]
) -> None:
    other = set(document(create_app(replace(settings, **changed)))["components"]["schemas"])
    assert other - set(described["components"]["schemas"]) <= {"EmailChange", "EmailReset"}


def test_the_tags_are_declared_in_the_order_that_a_newcomer_needs(described: dict[str, Any]) -> None:
    declared = [each["name"] for each in described["tags"]]
    assert declared[:3] == ["sign-in", "users", "profiles"]
    assert all(each["description"] for each in described["tags"])
    assert {tag for each in operations(described).values() for tag in each["tags"]} == set(declared)


@pytest.mark.parametrize(
    ("path", "method", "status", "examples"),
    [
        (*("/auth/jwt/create/", "post"), "401", [{"detail": "No active account found with the given credentials"}]),
        (
            *("/auth/users/me/", "get", "401"),
            [
                {"detail": "Authentication credentials were not provided."},
                {
                    "detail": "Given token not valid for any token type",
                    "code": "token_not_valid",
                    "messages": [
                        {"token_class": "AccessToken", "token_type": "access", "message": "Token is expired"},
                    ],
                },
            ],
        ),
        (
            *("/auth/users/", "post", "400"),
            [
                {"username": ["This field is required."], "password": ["This field is required."]},
                {"detail": "JSON parse error - unexpected end of data"},
            ],
        ),
        (*("/api/accounts/all-profiles", "post"), "409", [{"detail": "You have a profile already."}]),
        (*("/api/accounts/profile/{id}", "get"), "404", [{"detail": "No userProfile matches the given query."}]),
        (
            *("/auth/users/reset_password/", "post", "429"),
            [{"detail": "Request was throttled. Expected available in 88 seconds."}],
        ),
    ],
)
def test_every_failure_has_examples_of_its_causes(
    described: dict[str, Any], path: str, method: str, status: str, examples: list[Any]
) -> None:
    content = operations(described)[path, method]["responses"][status]["content"]["application/json"]
    assert [each["value"] for each in content["examples"].values()] == examples


def test_every_example_is_as_its_schema_says(described: dict[str, Any]) -> None:
    schemas = {"components": described["components"]}
    for operation in operations(described).values():
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    jsonschema.validate(example["value"], content["schema"] | schemas)


@pytest.mark.parametrize("settings", [{"docs": False}], indirect=True)
@pytest.mark.parametrize("path", ["/", "/docs", "/docs/start.js", "/openapi.json"])
async def test_a_setting_switches_page_and_document_off(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, await response.json()) == (404, {"detail": "Not found."})


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
