"""The signing key that is created and stored beside the bundled database."""

import os
from pathlib import Path

import pytest

from server.auth.tokens import stored_signing_key
from server.errors import StartError


def test_a_key_is_created_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    key = stored_signing_key(tmp_path)
    assert len(key) == 64
    assert stored_signing_key(tmp_path) == key
    assert (tmp_path / "signing_key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["signing_key"]


def test_a_key_is_on_the_disk_before_it_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    stored_signing_key(tmp_path)
    assert synced == [str(tmp_path / f".signing_key.{os.getpid()}"), str(tmp_path)]


@pytest.mark.parametrize("kept", ["", "short", "\n" * 40])
def test_a_stored_key_that_is_too_short_is_refused(tmp_path: Path, kept: str) -> None:
    (tmp_path / "signing_key").write_text(kept)
    with pytest.raises(StartError, match="fewer than 32 bytes"):
        stored_signing_key(tmp_path)


def test_a_missing_folder_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file or directory"):
        stored_signing_key(tmp_path / "nowhere")
