"""With LOG_FORMAT=json every line of both streams is a JSON object (security 42)."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import requests

from tests.conftest import KEY
from tests.processes import ROOT, surroundings

pytestmark = pytest.mark.slow


def read(stream: str) -> list[dict[str, Any]]:
    """Every line of a stream; fails when one is not a JSON object."""
    found = [json.loads(line) for line in stream.splitlines()]
    assert [line for line in found if not {"time", "level", "logger", "message"} <= line.keys()] == []
    return found


def run(*arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Run Python: its status and the lines of both streams."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=surroundings(LOG_FORMAT="json", **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, read(ran.stdout), read(ran.stderr)


def messages(lines: list[dict[str, Any]]) -> list[str]:
    return [line["message"] for line in lines]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_from_its_first_migration_to_its_end(make_database: Callable[[str], str], workers: str) -> None:
    url = make_database("json_output")
    environment = {"DATABASE_URL": url, "SIGNING_KEY": KEY, "BCRYPT_ROUNDS": "4", "MAIL_DIR": ".cache/mail"}
    environment |= {"PORT": "0", "METRICS": "127.0.0.1:0", "WORKERS": workers, "ACCESS_LOG": "true"}
    environment |= {"LOG_FORMAT": "json", "CORS_ORIGIN": "x", "PYTHONWARNINGS": "default"}
    service = subprocess.Popen(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=surroundings(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stdout is not None
        said: list[str] = []
        while not said or "listens on" not in said[-1]:
            said.append(service.stdout.readline())
            assert said[-1]
        address = json.loads(said[-1])["message"].split()[-1]
        account = {"username": "anna", "password": "correct horse battery"}
        assert requests.post(f"{address}auth/users/", json=account, timeout=10).status_code == 201
        tokens = requests.post(f"{address}auth/jwt/create/", json=account, timeout=10).json()
        bearer = {"Authorization": f"Bearer {tokens['access']}", "X-Request-ID": "number-one"}
        user_id = requests.get(f"{address}auth/users/me/", headers=bearer, timeout=10).json()["id"]
        with psycopg.connect(url, autocommit=True) as connection:
            # A fault of the service, with a traceback of several lines.
            connection.execute("alter table users add constraint users_fault check (username <> 'fault')")
        fault = {"username": "fault", "password": "correct horse battery"}
        assert requests.post(f"{address}auth/users/", json=fault, timeout=10).status_code == 500
    finally:
        service.send_signal(signal.SIGTERM)
        output, errors = service.communicate(timeout=60)
    spoken, logged = read("".join(said) + output), read(errors)
    assert any(message.startswith("Migration 0001.users applied.") for message in messages(spoken))
    assert messages(spoken)[-1] == "Frontdesk stops: it finishes the requests in progress."
    assert "CORS_ORIGIN is set and is no setting: CORS_ORIGINS is one" in messages(logged)
    (asked,) = [line for line in logged if line.get("request_id") == "number-one" and line["message"] == "request"]
    assert (asked["route"], asked["status"], asked["account"]) == ("/auth/users/me/", 200, user_id)
    (failed,) = [line for line in logged if line["level"] == "ERROR"]
    assert "users_fault" in failed["traceback"]


def test_what_stops_a_command() -> None:
    for arguments, environment in (
        (["serve"], {"PORT": "70000", "FRONTDESK_WORKERS": "none"}),
        (["nonsense"], {}),
        (["create-admin"], {}),
        (["deactivate", "anna"], {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "SIGNING_KEY": KEY}),
    ):
        status, said, faults = run("-m", "server", *arguments, **environment)
        assert (status, said) == (1 if environment.get("SIGNING_KEY") else 2, [])
        assert {line["level"] for line in faults} == {"ERROR"}
        assert len(faults) == (2 if "PORT" in environment else 1)


CRASHES = """
import gc, threading, warnings
from server.telemetry.logs import start_logging
start_logging("json")
warnings.warn("old")
class Unraisable:
    def __del__(self): raise ValueError("in del")
Unraisable(); gc.collect()
thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
raise SystemError("the end\\nof all")
"""


def test_what_python_itself_would_print() -> None:
    status, said, logged = run("-c", CRASHES)
    assert (status, said) == (1, [])
    assert [(line["level"], line["logger"]) for line in logged] == [
        ("WARNING", "py.warnings"),
        *[("ERROR", "server.telemetry.logs")] * 3,
    ]
    assert [line["traceback"].splitlines()[-1] for line in logged[1:]] == [
        "ValueError: in del",
        "ZeroDivisionError: division by zero",
        "of all",
    ]


def test_commands_and_the_bundled_database(tmp_path: Any) -> None:
    folder = {"DATA_DIR": str(tmp_path / "data")}
    status, said, logged = run("-m", "server", "migrate", **folder)
    assert (status, messages(said)[-1]) == (0, "The schema is up to date.")
    assert any("initdb makes a new PostgreSQL" in message for message in messages(logged))
    assert run("-m", "server", "letters", **folder)[:2][0] == 0
    (log,) = (tmp_path / "data").rglob("postgres.log")
    log_start = log.stat().st_size
    (tmp_path / "data" / "signing_key").write_text("short\n")
    status, said, logged = run("-m", "server", **folder)
    assert (status, said, logged[-1]["level"]) == (1, [], "ERROR")
    assert log.stat().st_size > log_start


def test_a_finding_of_check_is_one_line_with_its_level_and_advice() -> None:
    status, said, told = run("-m", "server", "check", DATABASE_URL="postgresql://127.0.0.1:1/x", SIGNING_KEY="a" * 40)
    found = {line["part"]: line for line in said}
    assert (status, len(found)) == (1, len(said))
    assert found["database"]["level"] == "ERROR"
    assert found["database"]["message"].startswith("database: it cannot be reached: ")
    assert found["database"]["advice"] == "see DATABASE_URL and its log"
    assert (found["key"]["level"], found["key"]["advice"]) == ("WARNING", "make one: openssl rand -hex 32")
    assert (found["settings"]["level"], "advice" in found["settings"]) == ("INFO", False)
    assert messages(told) == ["Faults: 1."]
