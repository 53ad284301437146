"""Data folders with a stopped server, and a temp folder that is empty again after each test."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.postgres.bundled import attach
from tests.postgres.servers import Process, runs


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system temp folder for one test: its path is short, every user can enter it, and it is empty at the end."""
    with tempfile.TemporaryDirectory(prefix="fd-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
        assert list(Path(folder).iterdir()) == []
    shutil.rmtree(tmp_path, ignore_errors=True)  # pytest would keep 46 MB of each test


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder that all these tests share: initdb takes the longest."""
    folder = tmp_path_factory.mktemp("made")
    attach(folder, durable=False).release()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(made: Path) -> Iterator[Path]:
    """A data folder whose server is stopped, before the test and after it."""
    assert not runs(made)
    yield made
    assert not runs(made)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it for a test that damages it, with a long and difficult name."""
    folder = tmp_path / "folder, with 'quotes' and \"more\" ü" / ("long" * 30)
    folder.parent.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    yield folder
    assert not runs(folder)


@pytest.fixture
def users() -> Iterator[Callable[..., Process]]:
    """Starts processes that use a server, and kills those that are left at the end."""
    with contextlib.ExitStack() as stack:

        def start(data: Path, *program: str) -> Process:
            process = Process(data, *program)
            stack.callback(process.kill)
            return process

        yield start
