"""Keeps the statements of a release, so that a test can prepare them on the schema of the next one.

Workers are renewed one by one: for a moment, workers of the last release run on the new schema. At each release, run

    python -m tests.database.keep_statements

and commit the file that it writes: `released/X.Y.Z.json`, with the text, the parameter types and the columns of each
statement. The version is `server.__version__`. The file of a version never changes: the command refuses to write other
content, which means that the version was not raised.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from server import __version__
from server.database import migrate
from server.postgres.bundled import attach
from server.resources import statements

RELEASED = Path(__file__).parent / "released"


class AlreadyKept(Exception):
    """The file of this version has other content."""


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


def main() -> None:
    """Write the file of the present version."""
    with tempfile.TemporaryDirectory() as folder:
        server = attach(Path(folder), durable=False, say=lambda text: None)
        try:
            url = server.url()
            migrate.migrate(url)
            described = asyncio.run(describe(url, statements()))
        finally:
            server.release()
    try:
        sys.stdout.write(f"{keep(RELEASED, __version__, described)}\n")
    except AlreadyKept as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
