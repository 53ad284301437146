"""What the command check says about DATA_DIR: whether a start could make it and write there."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.test_check import PROPER, Look, looked_at
from tests.processes import ROOT, surroundings
from tests.rows import Connection

__all__ = ["looked_at"]

pytestmark = pytest.mark.slow

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


@pytest.fixture
def visible() -> Iterator[Path]:
    """An empty folder that every user may enter; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def look_as_nobody(visible: Path) -> Callable[..., list[str]]:
    """A function that runs check as the user nobody, who may write letters only: the lines."""
    letters = visible / "letters"
    letters.mkdir()
    shutil.chown(letters, "nobody")

    def look(data: Path, **environment: str) -> list[str]:
        code = (
            "import os, pwd, sys; from server.commands import main;"
            " os.setgroups([]); os.setgid(65534); os.setuid(pwd.getpwnam('nobody').pw_uid);"
            " sys.exit(main.main(['check']))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=surroundings(DATA_DIR=str(data), MAIL_DIR=str(letters), **environment),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return [*ran.stdout.splitlines(), f"status {ran.returncode}", *ran.stderr.splitlines()]

    return look


@root_only
def test_a_data_folder_that_cannot_be_made_is_a_fault(look_as_nobody: Callable[..., list[str]]) -> None:
    said = look_as_nobody(Path("/nonexistent/frontdesk"))
    assert "FAULT   data: /nonexistent/frontdesk cannot be made: / cannot be written to" in said
    assert "        as root: install -d -m 700 -o nobody /nonexistent/frontdesk; or set DATA_DIR" in said
    assert "status 1" in said
    assert [line for line in said if "the first start makes" in line] == []


@root_only
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_data_folder_of_another_user_is_a_fault(
    look_as_nobody: Callable[..., list[str]], visible: Path, mode: int
) -> None:
    data = visible / "data"
    data.mkdir(mode=mode)
    said = look_as_nobody(data)
    assert f"FAULT   data: {data} cannot be written to" in said
    assert f"        {data} belongs to the user root: chown -R nobody {data}, or run as root" in said
    assert "status 1" in said
    assert "status 1" in look_as_nobody(data / "below")


@root_only
def test_a_data_folder_that_is_not_needed_may_be_missing(
    look_as_nobody: Callable[..., list[str]], database_url: str, database: Connection
) -> None:
    said = look_as_nobody(Path("/nonexistent"), **PROPER | {"DATABASE_URL": database_url})
    assert [line for line in said if "data:" in line] == []


def test_a_data_folder_that_is_a_file_is_a_fault(looked_at: Look, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = looked_at(DATA_DIR=str(tmp_path / "file"), DATABASE_URL="", MAIL_DIR=str(tmp_path / "letters"))
    assert found["FAULT"] == [f"data: {tmp_path}/file is no folder"]
