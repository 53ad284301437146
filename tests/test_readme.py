"""The shell commands in README work as written."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import StartService
from tests.shell_blocks import block

pytestmark = pytest.mark.slow


def test_the_example_of_roles_registers_teachers_and_students_in_one_call(start: StartService, tmp_path: Path) -> None:
    write_file, _, start_command = block("README.md", "roles: the file").rpartition("\nEND\n")
    assert start_command == "ROLES_FILE=roles.toml .venv/bin/python -m server\n"
    subprocess.run(["bash", "-e", "-c", f"{write_file}\nEND\n"], cwd=tmp_path, check=True)
    service = start(ROLES_FILE=str(tmp_path / "roles.toml"))
    calls = block("README.md", "roles: the calls").replace("http://127.0.0.1:8080", service.url)
    ran = subprocess.run(["bash", "-e", "-c", calls], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    roles, faults, tess, stan, refused, me, profiles = (json.loads(line) for line in ran.stdout.splitlines())
    assert [role["name"] for role in roles] == ["teacher", "student", "principal"]
    assert faults == {
        "profile": {"fields": {"school": ["This field is required."], "subjects": {"1": ["Not a valid string."]}}}
    }
    assert (tess["role"], stan["role"], me) == ("teacher", "student", tess)
    assert refused == {"detail": "No active account found with the given credentials"}
    assert [(each["user"], each["location"], each["fields"]) for each in profiles] == [
        ("tess", "Lisbon", {"school": "Lyceum", "subjects": ["latin"]}),
        ("stan", "", {"grade": 7}),
    ]
