"""Variables of the environment: white space, the prefix FRONTDESK_, and names that are nearly those of settings."""

import pytest

from server.settings.environment import misspelt
from server.settings.faults import SettingsError
from server.settings.settings import Settings


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
