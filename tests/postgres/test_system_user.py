"""A data folder that another user owns, such as one that root has restored: the message says who must own it."""

import os
import pwd
import shutil
from pathlib import Path

import pytest

from server.postgres.bundled import BundledPostgresError, attach
from server.postgres.system_user import foreign_owner, system_user_for

STRANGER = 12345
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The folder of a database that this user owns."""
    made = tmp_path / "data" / "postgres"
    made.mkdir(parents=True)
    (made / "PG_VERSION").write_text("18\n")
    return made


@pytest.fixture
def owner() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def test_a_service_user_is_told_to_own_the_whole_data_folder(
    cluster: Path, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    wanted = f"belongs to the user {owner}, and must belong to {STRANGER}: chown -R {STRANGER} {cluster.parent}"
    with pytest.raises(BundledPostgresError, match=wanted):
        system_user_for(cluster, cluster.parent)


@root_only
def test_root_is_told_which_user_must_own_what_it_has_restored(cluster: Path) -> None:
    shutil.chown(cluster.parent, "nobody")
    wanted = f"belongs to the user root, and must belong to nobody: chown -R nobody {cluster}.$"
    with pytest.raises(BundledPostgresError, match=wanted):
        attach(cluster.parent)


def test_of_a_file_that_cannot_be_seen_the_nearest_folder_says_whose_it_is(
    cluster: Path, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = cluster.parent
    assert foreign_owner(cluster / "PG_VERSION", data) is None
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    for hidden in ("PG_VERSION", "base/1/2"):
        said = foreign_owner(cluster / hidden, data)
        whose = cluster / hidden if hidden == "PG_VERSION" else cluster
        assert said == f"{whose} belongs to the user {owner}: chown -R {STRANGER} {data}, or run as {owner}"
    assert foreign_owner(data.parent / "elsewhere", data) is None


def test_a_lock_of_another_user_is_reported_with_its_owner(
    cluster: Path, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    def refuse(*arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied", str(cluster.parent / "postgres.lock"))

    monkeypatch.setattr("server.postgres.bundled.open_own", refuse)
    with pytest.raises(
        BundledPostgresError, match=f"Permission denied.*belongs to the user {owner}: chown -R {STRANGER}"
    ):
        attach(cluster.parent)
