"""What an image is made of: every package is locked with its hash, and the copy of Swagger UI is known and recent."""

import configparser
import datetime
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "deploy" / "requirements.txt"
BUILD_LOCK = ROOT / "deploy" / "requirements-build.txt"
SWAGGER = ROOT / "server" / "web" / "documentation" / "swagger"
COPY_MAX_DAYS = 365


def pins(text: str) -> dict[str, str]:
    """The version of each requirement `name==version`, by its name as PyPI compares it; markers are left out."""
    found = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name.lower()): version for name, version in found}


def declared() -> dict[str, str]:
    """The requirements of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return pins(config["options"]["install_requires"])


def test_the_lock_has_every_requirement_of_setup_cfg_in_its_version() -> None:
    locked = pins(LOCK.read_text())
    assert len(declared()) > 15
    assert declared() == {name: locked.get(name) for name in declared()}


def test_the_build_lock_has_what_the_build_asks_for() -> None:
    asked = pins((ROOT / "deploy" / "requirements-build.in").read_text())
    locked = pins(BUILD_LOCK.read_text())
    assert asked
    assert asked == {name: locked.get(name) for name in asked}


@pytest.mark.parametrize("file", [LOCK, BUILD_LOCK], ids=lambda file: file.name)
def test_every_locked_requirement_has_a_hash_and_no_index_is_named(file: Path) -> None:
    requirements = re.findall(r"^\S.*?(?=^\S|\Z)", file.read_text(), re.MULTILINE | re.DOTALL)
    packages = [each for each in requirements if not each.startswith("#")]
    assert len(packages) == len(pins(file.read_text()))
    assert [each.split()[0] for each in packages if "--hash=sha256:" not in each] == []
    assert [line for line in file.read_text().splitlines() if "://" in line] == []


def test_the_image_is_built_from_the_lock_and_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    fetching = [line for line in lines if "pip install" in line or "pip wheel" in line]
    assert fetching
    assert all("--require-hashes" in line or "--no-index" in line for line in fetching)
    assert "USER 10001" in lines


def component() -> Any:
    """What the copy of Swagger UI says about itself."""
    return json.loads((SWAGGER / "component.json").read_text())


def test_the_copy_of_swagger_ui_is_what_its_record_says() -> None:
    files = [each for each in component()["components"] if each["type"] == "file"]
    assert {"swagger-ui-bundle.js", "swagger-ui.css"} <= {each["name"] for each in files}
    for each in files:
        assert hashlib.sha256((SWAGGER / each["name"]).read_bytes()).hexdigest() == each["hashes"][0]["content"]


def test_the_copy_of_swagger_ui_is_less_than_a_year_old() -> None:
    """Fails a year after the release, on purpose: docs/decisions/supply.md says what to do then."""
    released = datetime.datetime.fromisoformat(component()["releaseNotes"]["timestamp"])
    age = datetime.datetime.now(datetime.UTC) - released
    told = f"Swagger UI {component()['version']} is {age.days} days old: run `python3 -m deploy.swagger_ui`"
    assert age.days < COPY_MAX_DAYS, told
