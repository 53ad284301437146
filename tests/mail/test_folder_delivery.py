"""Letters are written into a folder when no mail server is set."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from server.mail import delivery
from server.mail.delivery import FolderDelivery
from server.mail.sender import LATE_SECONDS
from tests.mail.conftest import MakeOffice, Office
from tests.mail.reading import collect


async def test_only_the_owner_can_read_a_folder_of_letters(office: Office) -> None:
    anna = office.account()
    for kind in ("confirmation", "password_changed"):
        await office.queue(kind, anna)
    await office.send()
    folder = office.settings.letters_dir
    files = sorted(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert [file.name.split("-")[1] for file in files] == ["confirmation", "password_changed"]
    assert {file.suffix for file in files} == {".eml"}
    assert len(collect(folder)) == 2


async def test_a_folder_that_cannot_be_written_loses_no_letter(make_office: MakeOffice, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    office = make_office(mail_dir=tmp_path / "file" / "mail")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert row["given_up_at"] is None
    assert row["fault"].startswith("MAIL_DIR ")


@pytest.mark.parametrize(
    ("number", "age", "level"),
    [(errno.ENOSPC, 0, "ERROR"), (errno.EACCES, 0, "WARNING"), (errno.EACCES, LATE_SECONDS, "ERROR")],
)
async def test_a_full_disk_is_an_error_at_once_and_another_failure_when_letters_are_late(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    age: float,
    level: str,
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FolderDelivery, "_write", fail)
    await office.queue("confirmation", office.account())
    office.rows.execute("update letters set queued_at = now() - make_interval(secs => %s)", [age])
    await office.send()
    assert [record.levelname for record in caplog.records] == [level]


async def test_a_disk_that_hangs_holds_a_letter_for_one_try_only(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    works_again = threading.Event()
    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.05)
    monkeypatch.setattr(os, "fsync", lambda file: works_again.wait(20))
    await office.queue("confirmation", office.account())
    await office.send()
    works_again.set()
    (row,) = office.queued()
    assert (row["given_up_at"], row["fault"].endswith("takes too long")) == (None, True)
