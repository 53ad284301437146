"""A setting that is a secret can be in a file, which NAME_FILE names: it is then in no environment."""

import os
import re
from pathlib import Path

import pytest

from server.settings.faults import SettingsError
from server.settings.settings import Settings

KEY = "k" * 32
VALUES = {
    "DATABASE_URL": "postgresql://u:hush@h/d",
    "SIGNING_KEY": KEY,
    "SIMPLEJWT_KEY": "j" * 32,
    "VERIFYING_KEYS": "o" * 32,
    "SMTP_URL": "smtp://u:hush@mail.example",
    "REPLICA_URL": "postgresql://u:hush@replica.example/d",
}


def faults(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.read(environment)
    return raised.value.faults


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secret"
    made.write_text(f"{KEY}\n")
    return made


def test_every_secret_is_one_of_these() -> None:
    assert {*VALUES} == {*Settings.secrets()}, "VALUES above has a valid value of every setting with secret=True"


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("prefix", ["", "FRONTDESK_"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_every_secret_is_read_from_a_file(tmp_path: Path, name: str, prefix: str, end: str) -> None:
    (tmp_path / "secret").write_bytes((VALUES[name] + end).encode())
    needed = {"REPLICA_URL": ["DATABASE_URL", "SIGNING_KEY"], "SIGNING_KEY": []}.get(name, ["SIGNING_KEY"])
    others = {each: VALUES[each] for each in needed}
    read = Settings.read({f"{prefix}{name}_FILE": f"{tmp_path}/secret", **others})
    assert read == Settings.read({name: VALUES[name], **others}) != Settings.read(others)


def test_the_file_may_be_a_link(file: Path) -> None:
    (file.parent / "link").symlink_to(file)
    assert Settings.read({"SIGNING_KEY_FILE": f"{file.parent}/link"}).signing_key == KEY


def test_a_name_without_a_value_counts_as_absent(file: Path) -> None:
    assert Settings.read({"SIGNING_KEY": " ", "SIGNING_KEY_FILE": str(file)}).signing_key == KEY
    assert Settings.read({"SIGNING_KEY": KEY, "SIGNING_KEY_FILE": " "}).signing_key == KEY


def test_the_prefix_wins_over_a_value_and_over_a_file(file: Path) -> None:
    other = "o" * 32
    assert Settings.read({"SIGNING_KEY": other, "FRONTDESK_SIGNING_KEY_FILE": str(file)}).signing_key == KEY
    assert Settings.read({"SIGNING_KEY_FILE": str(file), "FRONTDESK_SIGNING_KEY": other}).signing_key == other


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert faults(SIGNING_KEY_FILE=f"{tmp_path}/pipe") == ["SIGNING_KEY_FILE names something that is not a file"]


def test_faults_of_the_value_do_not_show_it(file: Path) -> None:
    file.write_text("a short secret")
    assert faults(SIGNING_KEY_FILE=str(file)) == ["SIGNING_KEY has 32 bytes or more"]
    file.write_text("mysql://u:a short secret@h/d")
    assert "secret" not in str(faults(DATABASE_URL_FILE=str(file), SIGNING_KEY=KEY))


@pytest.mark.parametrize("page", ["docs/secrets.md", "README.md"])
def test_a_page_that_lists_secrets_names_the_variable_of_every_file(page: str) -> None:
    text = (Path(__file__).parent.parent.parent / page).read_text()
    named = {*re.findall(r"\b[A-Z_]+_FILE\b", text)} - {name.upper() for name in Settings.__dataclass_fields__}
    assert named == {*Settings.names_of_files()}, (
        f"{page} names NAME_FILE of every setting with secret=True, and no other"
    )
