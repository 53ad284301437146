"""The statements of the last release still run on the new schema, because workers are renewed one by one."""

import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.database.keep_statements import RELEASED, AlreadyKept, describe, keep

CHANGELOG = Path(__file__).parent.parent.parent / "CHANGELOG.md"

FOUND = {"users/find": {"text": "select 1", "parameters": [], "columns": {"?column?": "int4"}}}


def released_versions() -> list[str]:
    """The versions in CHANGELOG.md, the newest first; "Unreleased" is none."""
    return re.findall(r"^## (\d+\.\d+\.\d+)\b", CHANGELOG.read_text(), re.MULTILINE)


def test_the_statements_of_the_last_release_are_kept() -> None:
    newest = released_versions()[0]
    assert (RELEASED / f"{newest}.json").exists(), "run: python -m tests.database.keep_statements"


def test_statements_are_kept_of_released_versions_only() -> None:
    assert {file.stem for file in RELEASED.glob("*.json")} <= set(released_versions())


async def test_the_statements_of_the_last_release_take_and_return_the_same_on_the_new_schema(database_url: str) -> None:
    released = json.loads((RELEASED / f"{released_versions()[0]}.json").read_text())
    assert len(released) > 50
    now = await describe(database_url, {name: each["text"] for name, each in released.items()})
    for name, before in released.items():
        assert now[name]["parameters"] == before["parameters"], name
        # Neither fewer nor more columns: some rows are read by position.
        assert now[name]["columns"] == before["columns"], name


async def test_a_statement_that_does_not_fit_the_schema_is_found(database_url: str) -> None:
    described = await describe(database_url, {"x": "select id, email from users where id = $1"})
    assert described["x"]["parameters"] == ["int8"]
    assert described["x"]["columns"] == {"id": "int8", "email": "text"}
    with pytest.raises(asyncpg.UndefinedColumnError):
        await describe(database_url, {"x": "select gone from users"})


def test_the_file_of_a_version_does_not_change(tmp_path: Path) -> None:
    file = keep(tmp_path, "1.2.3", FOUND)
    assert json.loads(file.read_text()) == FOUND
    keep(tmp_path, "1.2.3", FOUND)
    changed: dict[str, Any] = {**FOUND, "users/other": FOUND["users/find"]}
    with pytest.raises(AlreadyKept, match="raise the version"):
        keep(tmp_path, "1.2.3", changed)
    assert json.loads(file.read_text()) == FOUND
    keep(tmp_path, "1.2.4", changed)
