"""The files of migrations/: their names, what they depend on, their rollbacks; released ones do not change."""

import re
from collections import Counter
from pathlib import Path

import pytest

from server.database import migrate
from tests.database.keep_statements import (
    RELEASED,
    AlreadyKept,
    hash_of,
    keep_migrations,
    kept_migrations,
    present_migrations,
)

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"
NAMES = migrate.names()


def test_every_file_is_a_migration_or_its_rollback() -> None:
    found = {file.name for file in MIGRATIONS.iterdir()} - {"__pycache__"}
    wanted = {f"{name}{ending}" for name in NAMES for ending in (".sql", ".rollback.sql")}
    assert sorted(wanted - found) == [], "every migration has a rollback: write these files"
    assert sorted(found - wanted) == [], "these files are neither NNNN.name.sql nor its NNNN.name.rollback.sql"


def test_every_migration_has_a_number_of_its_own() -> None:
    assert [name for name in NAMES if not re.fullmatch(r"[0-9]{4}\.[a-z_]+", name)] == [], (
        "the name is NNNN.what_it_does"
    )
    numbers = Counter(name.partition(".")[0] for name in NAMES)
    assert [number for number, times in numbers.items() if times > 1] == [], "two migrations have this number"


@pytest.mark.parametrize("name", NAMES[1:])
def test_every_migration_says_on_its_first_line_what_it_depends_on(name: str) -> None:
    first, *_ = (MIGRATIONS / f"{name}.sql").read_text().splitlines()
    depends = first.removeprefix("-- depends:").split()
    before = NAMES[: NAMES.index(name)]
    assert first.startswith("-- depends: "), f"{name}.sql begins with: -- depends: {before[-1]}"
    assert [each for each in depends if each not in before] == [], "no earlier migration has this name"


@pytest.mark.parametrize("name", NAMES)
def test_every_rollback_undoes_something(name: str) -> None:
    file = MIGRATIONS / f"{name}.rollback.sql"
    statements = re.sub("--.*", "", file.read_text()).strip() if file.exists() else ""
    assert statements, f"write migrations/{file.name}: it undoes the migration, so that an operator can go back"


def test_a_released_migration_does_not_change() -> None:
    present, kept = present_migrations(), kept_migrations(RELEASED)
    assert len(kept) >= 7
    changed = [name for name, released in kept.items() if present.get(name) != released]
    assert changed == [], "databases of operators have these migrations: undo the change, and write a new migration"


def test_the_hash_of_a_migration_is_of_its_statements_alone() -> None:
    assert hash_of("-- why\nselect  1;\n\n") == hash_of("select 1;  -- another reason")
    assert hash_of("select 1") != hash_of("select 2")


def test_migrations_are_added_to_the_released_ones_and_never_changed(tmp_path: Path) -> None:
    keep_migrations(tmp_path, {"0001.a": "x"})
    keep_migrations(tmp_path, {"0001.a": "x", "0002.b": "y"})
    for wrong in ({"0001.a": "z", "0002.b": "y"}, {"0001.a": "x"}):
        with pytest.raises(AlreadyKept, match=r"0001\.a|0002\.b"):
            keep_migrations(tmp_path, wrong)
    assert kept_migrations(tmp_path) == {"0001.a": "x", "0002.b": "y"}
