"""The runtime folder: a short path for the socket, and no folder of another user."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.postgres.servers import attached, query


def test_the_data_folder_can_have_spaces_and_be_longer_than_a_socket_path(
    copy: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(str(copy)) > 107
    (temp / "a temp one").mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(temp / "a temp one"))
    with attached(copy) as share:
        assert share.socket_dir.is_relative_to(temp / "a temp one")
        assert query(share.url(), "select 1") == 1
    (temp / "a temp one").rmdir()


@pytest.mark.parametrize("name", ["long" * 20, "a,comma"])
def test_a_temp_folder_that_is_too_long_for_a_socket_or_has_a_comma_is_not_used(
    name: str, data: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temp / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp / name))
    with attached(data) as share:
        assert not share.socket_dir.is_relative_to(temp)
        assert query(share.url(), "select 1") == 1
    assert not share.socket_dir.parent.exists()
    (temp / name).rmdir()


def test_a_runtime_folder_whose_name_another_user_took_is_not_touched(data: Path, temp: Path) -> None:
    (temp / "theirs").mkdir()
    (temp / "theirs" / "file").write_text("")
    (temp / "frontdesk-1234").symlink_to(temp / "theirs")
    (data / "postgres.lock").write_text(f"{temp}/frontdesk-1234\n")
    with attached(data) as share:
        assert share.socket_dir.parent.name != "frontdesk-1234"
    assert (temp / "theirs" / "file").exists()
    (temp / "frontdesk-1234").unlink()
    shutil.rmtree(temp / "theirs")
