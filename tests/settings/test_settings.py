"""Settings: all faults are reported at once, secrets are hidden, defaults are as documented."""

from pathlib import Path

import pytest

from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.settings.values import MAX_WORKERS, cores

KEY = "k" * 32


def faults(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.read(environment)
    return [fault.split()[0] for fault in raised.value.faults]


@pytest.mark.parametrize(
    "environment",
    [
        {"SIGNING_KEY": " "},
        {"SIGNING_KEY_FILE": " "},
        {"FRONTDESK_SIGNING_KEY": " "},
        {"FRONTDESK_SIGNING_KEY": " ", "SIGNING_KEY": KEY},
        {"FRONTDESK_SIGNING_KEY_FILE": "\n", "SIGNING_KEY": KEY},
    ],
)
def test_a_blank_key_is_a_fault(environment: dict[str, str]) -> None:
    assert faults(**environment) == [next(iter(environment))]


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.read({})
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8080, "")
    assert (settings.data_dir, settings.signing_key) == (Path("data"), "")
    assert (settings.access_lifetime, settings.refresh_lifetime, settings.bcrypt_rounds) == (300, 86400, 12)
    assert (settings.unique_email, settings.cors_origins, settings.migrate_on_start) == (True, (), True)
    assert (settings.log_format, settings.access_log) == ("text", False)


def test_variables_are_read() -> None:
    settings = Settings.read(
        {
            "PORT": "0",
            "UNIQUE_EMAIL": "no",
            "CORS_ORIGINS": "https://a.example, http://b.example:3000",
            "LOG_FORMAT": "json",
        }
    )
    assert (settings.port, settings.unique_email, settings.log_format) == (0, False, "json")
    assert settings.cors_origins == ("https://a.example", "http://b.example:3000")


def test_workers_is_a_number_or_auto_for_one_on_each_core() -> None:
    assert Settings.read({}).workers == 1
    assert Settings.read({"WORKERS": "3"}).workers == 3
    assert Settings.read({"WORKERS": "auto"}).workers == min(cores(), MAX_WORKERS)
    for wrong in ("0", "33", "many", "-1", "1.5"):
        assert faults(WORKERS=wrong) == ["WORKERS"]


def test_metrics_is_an_address_with_a_port() -> None:
    for right in ("127.0.0.1:9464", "0.0.0.0:0", "[::1]:9464", "metrics.internal:65535"):
        assert Settings.read({"METRICS": right}).metrics == right
    for wrong in ("9464", "127.0.0.1", ":9464", "127.0.0.1:65536", "::1:9464", "http://127.0.0.1:9464"):
        assert faults(METRICS=wrong) == ["METRICS"]


def test_public_url_is_an_address() -> None:
    assert Settings.read({"PUBLIC_URL": "https://h.example:8443/desk/"}).public_url == "https://h.example:8443/desk"
    for wrong in (
        "h.example",
        "https://h.example:99999",
        'https://h.example/"><script>',
        "https://u@h.example",
        "https://",
    ):
        assert faults(PUBLIC_URL=wrong) == ["PUBLIC_URL"]


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.read({"PORT": "", "DATABASE_URL": "", "SIGNING_KEY": ""}) == Settings()


def test_all_faults_are_reported_at_once() -> None:
    environment = {
        "PORT": "70000",
        "WORKERS": "33",
        "METRICS": "127.0.0.1",
        "DATABASE_URL": "mysql://x",
        "ACCESS_LIFETIME": "-1",
        "BCRYPT_ROUNDS": "３",
        "UNIQUE_EMAIL": "perhaps",
        "CORS_ORIGINS": "https://a.example/path",
        "LOG_FORMAT": "xml",
    }
    assert faults(**environment) == [*environment, "SIGNING_KEY"]


@pytest.mark.parametrize("key", ["short", "k" * 31])
def test_a_short_signing_key_stops_the_start(key: str) -> None:
    assert faults(SIGNING_KEY=key) == ["SIGNING_KEY"]


def test_database_url_needs_a_signing_key() -> None:
    assert faults(DATABASE_URL="postgresql://h/d") == ["SIGNING_KEY"]
    assert Settings.read({"DATABASE_URL": "postgresql://h/d", "SIGNING_KEY": KEY}).signing_key == KEY


def test_the_bundled_database_has_no_replica() -> None:
    with pytest.raises(SettingsError, match="REPLICA_URL needs DATABASE_URL"):
        Settings.read({"REPLICA_URL": "postgresql://frontdesk@h/frontdesk"})


def test_secrets_are_not_shown() -> None:
    settings = Settings.read({"DATABASE_URL": "postgresql://u:secret@h/d", "SIGNING_KEY": KEY})
    for text in (repr(settings), str(settings.shown())):
        assert "secret" not in text
        assert KEY not in text


@pytest.mark.parametrize("wrong", ["a..b", ".", "a" * 70, "\udcff"])
def test_a_host_that_no_machine_can_have_is_refused(wrong: str) -> None:
    assert faults(HOST=wrong) == ["HOST"]


@pytest.mark.parametrize("right", ["https://a", "http://a.b-c.example:3000", "http://[::1]:65535", "*", "https://a,*"])
def test_an_origin_has_a_scheme_a_host_and_an_optional_port(right: str) -> None:
    assert Settings.read({"CORS_ORIGINS": right}).cors_origins == tuple(right.split(","))


@pytest.mark.parametrize(
    "wrong", ["http://*.a", "http://a:99999", "http://a:", "a", "http://", "http://a/", "null", "http://a b"]
)
def test_an_origin_that_no_browser_sends_is_refused(wrong: str) -> None:
    assert faults(CORS_ORIGINS=wrong) == ["CORS_ORIGINS"]


def test_off_means_that_no_network_is_unlimited() -> None:
    assert Settings.read({"UNLIMITED_NETWORKS": "off"}).unlimited_networks == ()
