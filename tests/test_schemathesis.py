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


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "a stranger"])
def test_every_answer_is_as_the_document_says(start: Callable[..., Started], signed_in: bool, tmp_path: Path) -> None:
    # Not counted by coverage, which would take longer than all else here.
    service = start(ACCESS_LIFETIME="3600", COVERAGE_PROCESS_CONFIG="", COVERAGE_PROCESS_START="")
    # Not the password of the document's examples: they would delete the account.
    tokens = register(service.url, "explorer", "one that nobody guesses")
    credentials = ["-H", f"Authorization: {header(tokens)['Authorization']}"] if signed_in else []
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
        "examples,coverage,fuzzing" if signed_in else "examples,coverage",
        *credentials,
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    me = requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10)
    assert me.status_code == 200, "the explorer lost its account on the way"
