"""Schemathesis: for any request, status, headers and body are as the OpenAPI document says, and never a 5xx."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.processes import ROOT, Started, header, register, whole_document

pytestmark = pytest.mark.slow

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
MAX_EXAMPLES = 6
RUN_SECONDS = 300


# Every setting that changes a body or a response.
CHANGED_SETTINGS = dict.fromkeys(
    (
        "SEND_ACTIVATION_EMAIL",
        "USER_CREATE_PASSWORD_RETYPE",
        "SET_PASSWORD_RETYPE",
        "PASSWORD_RESET_CONFIRM_RETYPE",
        "SET_USERNAME_RETYPE",
        "USERNAME_RESET_CONFIRM_RETYPE",
        "PASSWORD_RESET_SHOW_EMAIL_NOT_FOUND",
    ),
    "true",
) | {"LOGIN_FIELD": "email"}


def begin(start: Callable[..., Started], folder: Path, **environment: str) -> Started:
    """Start the service with access tokens that outlive the test, and write its whole document into `folder`."""
    whole_document(folder, **environment)
    return start(ACCESS_LIFETIME="3600", **environment)


def explore(service: Started, folder: Path, phases: str, *more: str) -> None:
    """Run Schemathesis against the service, with the document in `folder`."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        str(folder / "openapi.json"),
        "--url",
        service.url,
        "--checks",
        ",".join(CHECKS),
        "--max-examples",
        str(MAX_EXAMPLES),
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--phases",
        phases,
        *more,
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "anonymous"])
def test_every_response_is_as_the_document_says(start: Callable[..., Started], signed_in: bool, tmp_path: Path) -> None:
    service = begin(start, tmp_path)
    # Not the password of the document's examples, which would delete the account.
    tokens = register(service.url, "explorer", "a password outside of the document")
    # A logout would end the session of the run, and so would the deletion of a listed one: all after it would be 401.
    credentials = ["-H", f"Authorization: {header(tokens)['Authorization']}"]
    for path in ("/auth/token/logout/", "/auth/sessions/{session}/"):
        credentials += ["--exclude-path", path]
    # Anonymous requests get 401 nearly everywhere; the signed-in run also sends fuzzed bodies to public endpoints.
    explore(
        service, tmp_path, "examples,coverage,fuzzing" if signed_in else "examples", *(credentials if signed_in else [])
    )
    me = requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10)
    assert me.status_code == 200, "the run deleted its own account"


def test_the_document_follows_the_site_file(start: Callable[..., Started], tmp_path: Path) -> None:
    site = {"SITE_FILE": str(ROOT / "examples" / "site" / "email-and-names.toml"), "LOGIN_FIELD": "email"}
    explore(
        begin(start, tmp_path, **site),
        tmp_path,
        "examples,coverage",
        "--include-path-regex",
        r"/auth/users/(\w+/)?$|/api/",
    )


def test_the_document_follows_the_settings(start: Callable[..., Started], tmp_path: Path) -> None:
    explore(
        begin(start, tmp_path, **CHANGED_SETTINGS),
        tmp_path,
        "examples,coverage",
        "--include-path-regex",
        r"/auth/users/(\w+/)?$",
    )
