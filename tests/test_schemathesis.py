"""The service does what its document says, whatever is sent: status, media type, headers and body; never a 5xx."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.processes import Started, header, register

pytestmark = pytest.mark.slow

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
EXAMPLES = 6
SECONDS = 300


# Every switch that changes a body or an answer.
SWITCHED = dict.fromkeys(
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


def begin(start: Callable[..., Started], **environment: str) -> Started:
    return start(ACCESS_LIFETIME="3600", **environment)


def explore(service: Started, folder: Path, phases: str, *more: str) -> None:
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{service.url}/openapi.json",
        "--checks",
        ",".join(CHECKS),
        "--max-examples",
        str(EXAMPLES),
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--phases",
        phases,
        *more,
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "a stranger"])
def test_every_answer_is_as_the_document_says(start: Callable[..., Started], signed_in: bool, tmp_path: Path) -> None:
    service = begin(start)
    # Not the password of the document's examples: they would delete the account.
    tokens = register(service.url, "explorer", "one that nobody guesses")
    credentials = ["-H", f"Authorization: {header(tokens)['Authorization']}"] if signed_in else []
    # A stranger is told 401 nearly everywhere, whatever is sent; odd bodies come to public doors with credentials, too.
    explore(service, tmp_path, "examples,coverage,fuzzing" if signed_in else "examples", *credentials)
    me = requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10)
    assert me.status_code == 200, "the explorer lost its account on the way"


def test_what_switches_change_is_in_the_document(start: Callable[..., Started], tmp_path: Path) -> None:
    explore(begin(start, **SWITCHED), tmp_path, "examples,coverage", "--include-path-regex", r"/auth/users/(\w+/)?$")
