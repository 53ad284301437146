"""Small Django sites that `python -m tests.move --record` wrote: database, dump, and what their front ends hold."""

import json
from pathlib import Path
from typing import Any

from psycopg import sql

from tests.rows import Connection

RECORDED = Path(__file__).parent / "recorded"
OLD_KEY = "the secret key of the old site, 32 bytes or more"
PEOPLE_FILE = Path(__file__).parents[1] / "move" / "people.toml"
HASHERS = ("pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "scrypt", "bcrypt", "md5")
SETTINGS: dict[str, dict[str, str]] = {
    "stock": {},
    "people": {"LOGIN_FIELD": "email", "SITE_FILE": str(PEOPLE_FILE)},
    "strangers": {"LOGIN_FIELD": "email"},
}


def dump_of(users: str, folder: Path, *, is_list: bool = True) -> Path:
    """A file as dumpdata writes it: one list, or with `--format jsonl` an object on each line."""
    lines = (RECORDED / f"{users}.json").read_text()
    path = folder / f"{users}.json"
    path.write_text(json.dumps([json.loads(line) for line in lines.splitlines()]) if is_list else lines)
    return path


def held_by(users: str) -> list[dict[str, str]]:
    """What front ends of the site hold: tokens of the first accounts, one for each hasher."""
    held: list[dict[str, str]] = json.loads((RECORDED / f"{users}.held.json").read_text())
    return held


def load(database: Connection, users: str) -> None:
    """Put the tables of the site into a database, as its own migrations made them."""
    database.execute(sql.SQL((RECORDED / f"{users}.sql").read_text()))


def objects_of(users: str, model: str) -> list[dict[str, Any]]:
    """The objects of a model in the dump of the site."""
    objects = [json.loads(line) for line in (RECORDED / f"{users}.json").read_text().splitlines()]
    return [each for each in objects if each["model"] == model]
