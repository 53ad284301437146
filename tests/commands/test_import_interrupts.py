"""Imports and exports that a signal ends: one line, the status of the shell, and nothing left behind."""

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from server.process import signals
from server.transfer import files, importing, taking, target
from server.transfer.taking import take
from tests.commands.conftest import Run
from tests.commands.test_import_users import said, write
from tests.rows import Connection, count

pytestmark = pytest.mark.slow

TEXT = "the page fails"


async def wait_for_the_signal(number: int = signal.SIGINT) -> None:
    """Send a signal, twice as an impatient operator does, and go on for a long time."""
    os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)
    await asyncio.sleep(30)


@pytest.fixture
def interrupted_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page of two rows is interrupted."""
    monkeypatch.setattr(files, "PAGE_ROWS", 2)
    pages = iter([True, False])

    async def wait(*arguments: Any, **named: Any) -> Any:
        if not next(pages):
            await wait_for_the_signal()
        return await take(*arguments, **named)

    monkeypatch.setattr(importing, "take", wait)


@pytest.mark.usefixtures("interrupted_page")
def test_an_import_that_is_interrupted_says_how_far_it_came(
    run: Run,
    database: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    file = write(tmp_path / "users.jsonl", *({"username": f"user{number}"} for number in range(7)))
    assert run("import-users", file) == (130, "", "Interrupted after 2 rows. Run it again: it goes on.\n")
    gc.collect()
    assert (caplog.messages, [str(each.message) for each in recwarn]) == ([], [])
    assert count(database, "users") == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(importing, "take", take)
    assert said(run, "import-users", file) == (0, ["Taken: 5. There already: 2. Not taken: 0."])


@pytest.mark.usefixtures("interrupted_page")
def test_a_dry_run_that_is_interrupted_has_changed_nothing(run: Run, database: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "users.jsonl", *({"username": f"user{number}"} for number in range(7)))
    assert run("import-users", file, "--dry-run") == (130, "", "Interrupted after 2 rows. Nothing was changed.\n")
    assert count(database, "users") == 0


def test_an_import_that_is_interrupted_while_it_counts_says_so(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(files, "check_suffix", interrupt)
    told = "Interrupted after 0 rows. Run it again: it goes on.\n"
    assert run("import-users", str(tmp_path / "users.jsonl")) == (143, "", told)


def test_an_export_that_is_interrupted_says_what_became_of_the_file(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    database.execute("insert into users (username) values ('anna')")
    monkeypatch.setattr(target.FileTarget, "begin", interrupt)
    out = tmp_path / "out.csv"
    assert run("export-users", str(out)) == (130, "", f"Interrupted: {out} was removed.\n")
    assert not out.exists()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fail)
    assert run("export-users", str(out))[2] == f"Interrupted: {out} is not whole: remove it.\n"


def test_a_page_that_fails_leaves_no_task(
    run: Run,
    database: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        left.append(len(asyncio.all_tasks()))
        raise ValueError(TEXT)

    async def check(_: Any, rows: Any) -> Any:
        if rows[0].place == 2:
            await asyncio.sleep(30)
        return await taking.check(_, rows)

    async def counted(*arguments: Any, **named: Any) -> None:
        try:
            await importing_run(*arguments, **named)
        finally:
            left.append(len(asyncio.all_tasks()))

    left: list[int] = []
    importing_run = importing.run
    monkeypatch.setattr(files, "PAGE_ROWS", 1)
    monkeypatch.setattr(importing, "take", fail)
    monkeypatch.setattr(importing, "check", check)
    monkeypatch.setattr(importing, "run", counted)
    with pytest.raises(ValueError, match=TEXT):
        run("import-users", write(tmp_path / "users.jsonl", {"username": "anna"}, {"username": "boris"}))
    assert left[1] == left[0] - 1


def test_a_signal_that_comes_when_the_block_is_through_changes_nothing() -> None:
    async def work() -> str:
        with signals.cancelling():
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        return "done"

    async def cancelled() -> None:
        with signals.cancelling():
            await asyncio.sleep(30)

    async def cancel_otherwise() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with signals.raised():
        assert asyncio.run(work()) == "done"
    asyncio.run(cancel_otherwise())
