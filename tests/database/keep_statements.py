"""Keeps the statements and the migrations of a release, so that tests can compare them with what is there later.

Workers are renewed one by one: for a moment, workers of the last release run on the new schema. At each release, run

    python -m tests.database.keep_statements

and commit the file that it writes: `released/X.Y.Z.json`, with the text, the parameter types and the columns of each
statement. The version is `server.__version__`. The file of a version never changes: the command refuses to write other
content, which means that the version was not raised.

`released/migrations.txt` has the name and the SHA-256 of each released migration, without its comments and white space.
Its statements never change, because it was applied to databases of operators.
"""

import asyncio
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from server import __version__
from server.database import migrate
from server.postgres.bundled import attach
from server.resources import resource, statements

RELEASED = Path(__file__).parent / "released"


KEPT_MIGRATIONS = "migrations.txt"


class AlreadyKept(Exception):
    """The file of this version has other content, or a released migration was changed."""


async def describe(url: str, texts: dict[str, str]) -> dict[str, Any]:
    """The text, the parameter types and the columns of each statement, prepared on the database at `url`."""
    connection = await asyncpg.connect(url)
    try:
        described = {}
        for name, text in sorted(texts.items()):
            prepared = await connection.prepare(text)
            described[name] = {
                "text": text,
                "parameters": [each.name for each in prepared.get_parameters()],
                "columns": {each.name: each.type.name for each in prepared.get_attributes()},
            }
        return described
    finally:
        await connection.close()


def keep(folder: Path, version: str, described: dict[str, Any]) -> Path:
    """Write the file of `version`. Raises AlreadyKept when there is one with other content."""
    file = folder / f"{version}.json"
    if file.exists() and json.loads(file.read_text()) != described:
        raise AlreadyKept(f"{file.name} has other statements: raise the version in server/__init__.py first.")
    file.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")
    return file


def hash_of(text: str) -> str:
    """The SHA-256 of the statements of a migration: its comments and white space do not count."""
    return hashlib.sha256(" ".join(re.sub("--.*", "", text).split()).encode()).hexdigest()


def present_migrations() -> dict[str, str]:
    """The hash of each migration by its name."""
    return {name: hash_of((resource("migrations") / f"{name}.sql").read_text()) for name in migrate.names()}


def kept_migrations(folder: Path) -> dict[str, str]:
    """The hashes of the released migrations by their names."""
    file = folder / KEPT_MIGRATIONS
    return dict(line.split() for line in file.read_text().splitlines()) if file.exists() else {}


def keep_migrations(folder: Path, present: dict[str, str]) -> Path:
    """Add the migrations that were not released yet. Raises AlreadyKept when a released one was changed or is gone."""
    changed = [name for name, kept in kept_migrations(folder).items() if present.get(name) != kept]
    if changed:
        raise AlreadyKept(f"released migrations were changed: {', '.join(changed)}.")
    file = folder / KEPT_MIGRATIONS
    file.write_text("".join(f"{name} {kept}\n" for name, kept in sorted(present.items())))
    return file


def main() -> None:
    """Write the files of the present version."""
    with tempfile.TemporaryDirectory() as folder:
        server = attach(Path(folder), durable=False, say=lambda text: None)
        try:
            url = server.url()
            migrate.migrate(url)
            described = asyncio.run(describe(url, statements()))
        finally:
            server.release()
    try:
        sys.stdout.write(
            f"{keep(RELEASED, __version__, described)}\n{keep_migrations(RELEASED, present_migrations())}\n"
        )
    except AlreadyKept as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
