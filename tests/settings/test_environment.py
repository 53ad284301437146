"""Variables of the environment: white space, the prefix FRONTDESK_, and names that are nearly those of settings."""

from pathlib import Path

import pytest

from server.settings.environment import misspelt
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from tests.conftest import KEY


def faults(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.read(environment)
    return raised.value.faults


def test_white_space_around_a_value_does_not_count() -> None:
    settings = Settings.read({"PORT": " 80\n", "SITE_NAME": "\tA site ", "LOG_FORMAT": "  "})
    assert (settings.port, settings.site_name, settings.log_format) == (80, "A site", "text")


@pytest.mark.parametrize("blank", [" ", "\n", "\t \n"])
def test_a_blank_signing_key_is_a_fault(blank: str) -> None:
    text = "SIGNING_KEY is blank: tokens would be signed with another key than was meant"
    assert faults(SIGNING_KEY=blank) == [text]
    assert faults(SIGNING_KEY=blank, DATABASE_URL="postgresql://h/d") == [text]


def test_the_prefix_wins() -> None:
    assert Settings.read({"PORT": "1", "FRONTDESK_PORT": "2"}).port == 2
    assert Settings.read({"PORT": "1", "FRONTDESK_PORT": " "}).port == 1
    assert Settings.read({"FRONTDESK_PORT": "2"}).port == 2


def test_a_prefixed_name_that_is_no_setting_is_a_fault() -> None:
    assert faults(FRONTDESK_CORS_ORIGIN="https://a.example", FRONTDESK_COLOUR="red") == [
        "FRONTDESK_COLOUR is no setting",
        "FRONTDESK_CORS_ORIGIN is no setting: FRONTDESK_CORS_ORIGINS is one",
    ]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("LOG_FROMAT", "LOG_FORMAT"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("cors_origins", "CORS_ORIGINS"),
        ("Host", "HOST"),
        ("DATABASE_UR", "DATABASE_URL"),
        ("SIGNINGKEY", "SIGNING_KEY"),
        ("SEND_ACTIVATION_MAIL", "SEND_ACTIVATION_EMAIL"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_told(variable: str, meant: str) -> None:
    assert list(misspelt({variable: "x"}, Settings.names())) == [f"{variable} is set and is no setting: {meant} is one"]
    assert Settings.read({variable: "x"}) == Settings()


@pytest.mark.parametrize(
    "variable",
    ["HOSTNAME", "PORTS", "MAIL", "HOME", "PATH", "XDG_DATA_DIRS", "PGHOST", "SSH_AUTH_SOCK", *Settings.names()],
)
def test_names_of_other_programs_are_left_alone(variable: str) -> None:
    assert list(misspelt({variable: "x"}, Settings.names())) == []


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    key, url = tmp_path / "key", tmp_path / "url"
    key.write_text(KEY + "\n")
    url.write_text("postgresql://u:p@h/d\n")
    settings = Settings.read({"SIGNING_KEY_FILE": str(key), "FRONTDESK_DATABASE_URL_FILE": str(url)})
    assert (settings.signing_key, settings.database_url) == (KEY, "postgresql://u:p@h/d")


def test_no_setting_but_a_secret_may_stand_in_a_file() -> None:
    assert "PORT" not in Settings.secrets()
    with pytest.raises(SettingsError, match="FRONTDESK_PORT_FILE is no setting"):
        Settings.read({"FRONTDESK_PORT_FILE": "x"})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "names a file that cannot be read: No such file or directory"),
        (b"", "names a file that is empty"),
        (b" \n", "names a file that is empty"),
        (b"\xff", "names a file that is not UTF-8 text"),
        (b"x" * 70_000, "names a file of more than 65536 bytes"),
    ],
)
def test_a_file_that_has_no_secret_is_a_fault_beside_the_others(
    tmp_path: Path, content: bytes | None, fault: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        Settings.read({"SIGNING_KEY_FILE": str(tmp_path / "key"), "DATABASE_URL": "postgresql://h/d", "PORT": "x"})
    assert raised.value.faults == [f"SIGNING_KEY_FILE {fault}", "PORT is a whole number from 0 to 65535"]


def test_a_folder_is_no_file_of_a_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SIGNING_KEY_FILE names a file that cannot be read: Is a directory"):
        Settings.read({"SIGNING_KEY_FILE": str(tmp_path)})


def test_a_secret_that_is_given_twice_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    with pytest.raises(SettingsError) as raised:
        Settings.read({"SIGNING_KEY_FILE": str(tmp_path / "key"), "SIGNING_KEY": KEY})
    assert raised.value.faults == ["SIGNING_KEY and SIGNING_KEY_FILE are both set: which of them is meant is not clear"]
