"""The users of a Django site in a file of `dumpdata` (JSON or JSONL), in constant memory.

The objects of a dump come in the order of their models, so users, profiles and tokens are apart. They are put into
tables of a temporary file first (SQLite), which is deleted at the end, and read from there in the order of the ids.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson
import orjson

from server.transfer.django_users import UUID_IDS, DjangoUsers
from server.transfer.rows import PAGE_ROWS, Revoked, Row, UnusableSource

TABLES = """
create table users (id integer primary key, data blob);
create table profiles (user_id integer primary key, id integer, data blob);
create table tokens (user_id integer primary key, key text);
create table outstanding (id integer primary key, jti text, expires_at text);
create table blacklisted (token_id integer primary key);
"""
_USER = {"password", "last_login", "is_active"}
_PROFILE = {"user", "description", "location", "is_creator"}
_NOT_NUMBERS = "no whole numbers"


class DjangoDump:
    """The users of a dump. Reads it once, as a whole."""

    def __init__(self, path: Path, users: DjangoUsers, *, user_model: str | None) -> None:
        """Raises UnusableSource. `user_model` is a model such as `accounts.user`; None: the first that is like one."""
        self._path = path
        self._users = users
        self._user_model = user_model
        # A file without a name, for this connection alone; SQLite writes what its cache does not hold.
        self._staged = sqlite3.connect("")
        self._staged.executescript("pragma journal_mode = off; pragma synchronous = off;" + TABLES)
        self._has_columns = not users.needed
        try:
            self._stage()
            self.total, self.highest_id = self._one("select count(*), coalesce(max(id), 0) from users")
            (self.highest_profile_id,) = self._one("select coalesce(max(id), 0) from profiles")
        except BaseException:
            self._staged.close()
            raise

    async def close(self) -> None:
        """Delete the temporary file."""
        self._staged.close()

    def _one(self, query: str) -> Any:
        return self._staged.execute(query).fetchone()

    def _stage(self) -> None:
        try:
            with self._path.open("rb") as file:
                for each in _objects(file):
                    if not isinstance(each, dict) or not isinstance(each.get("fields"), dict):
                        raise UnusableSource(f"{self._path} is no file of dumpdata.")
                    self._stage_object(str(each.get("model")), each.get("pk"), each["fields"])
        except OSError as failure:
            raise UnusableSource(f"{self._path} cannot be read: {failure.strerror}.") from None
        except (ijson.JSONError, UnicodeDecodeError) as failure:
            raise UnusableSource(f"{self._path} cannot be read: {failure}.") from None
        except sqlite3.IntegrityError:
            raise UnusableSource(f"{self._path} has an object twice.") from None
        if self._user_model is None:
            raise UnusableSource(f"{self._path} has no users: dumpdata writes those of the user model, too.")

    def _stage_object(self, model: str, key: Any, fields: Mapping[str, Any]) -> None:
        if model == self._user_model or (self._user_model is None and fields.keys() >= _USER):
            self._user_model = model
            self._check_columns(fields)
            self._put("users", _whole(key), orjson.dumps(fields))
        elif put := _PUT.get(model):
            put(self._put, key, fields)
        elif fields.keys() >= _PROFILE:
            self._put("profiles", _whole(fields["user"]), _whole(key), orjson.dumps(fields))

    def _check_columns(self, fields: Mapping[str, Any]) -> None:
        missing = sorted({*self._users.needed} - fields.keys())
        if missing and not self._has_columns:
            raise UnusableSource(
                f"{self._user_model} has no field {', '.join(missing)}: [import.django] of SITE_FILE says which field"
                " an account field comes from."
            )
        self._has_columns = True

    def _put(self, table: str, *values: Any) -> None:
        marks = ", ".join("?" * len(values))
        self._staged.execute(f"insert into {table} values ({marks})", values)  # noqa: S608  tables of this module

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """All users in the order of their ids, at most PAGE_ROWS at once."""
        rows = self._staged.execute(
            "select u.id, u.data, p.id, p.data, t.key from users u left join profiles p on p.user_id = u.id"
            " left join tokens t on t.user_id = u.id order by u.id"
        )
        place = 0
        while page := rows.fetchmany(PAGE_ROWS):
            yield [self._row(place + number, *row) for number, row in enumerate(page, 1)]
            place += len(page)

    def _row(self, place: int, user_id: int, user: bytes, profile_id: int | None, profile: bytes, key: str) -> Row:
        read = {"id": profile_id} | orjson.loads(profile) if profile else None
        return self._users.row(place, user_id, orjson.loads(user), read, key)

    async def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Refresh tokens in the blacklist that have not expired, at most PAGE_ROWS at once."""
        rows = self._staged.execute(
            "select o.jti, o.expires_at from blacklisted b join outstanding o on o.id = b.token_id order by o.id"
        )
        living = (Revoked(jti, when) for jti, when in ((jti, _moment(text)) for jti, text in rows) if when > _now())
        while page := list(islice(living, PAGE_ROWS)):
            yield page


Put = Callable[..., None]

_PUT: dict[str, Callable[[Put, Any, Mapping[str, Any]], None]] = {
    "authtoken.token": lambda put, key, fields: put("tokens", _whole(fields.get("user")), str(key)),
    "token_blacklist.outstandingtoken": lambda put, key, fields: put(
        "outstanding", _whole(key), str(fields.get("jti")), str(fields.get("expires_at"))
    ),
    "token_blacklist.blacklistedtoken": lambda put, key, fields: put("blacklisted", _whole(fields.get("token"))),
}


def _objects(file: BinaryIO) -> Iterator[Any]:
    """The objects of a dump: the members of one list, or one after the other."""
    head = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    file.seek(3 if head and file.read(3) == b"\xef\xbb\xbf" else 0)
    if head.startswith(b"["):
        return iter(ijson.items(file, "item", use_float=True))
    return iter(ijson.items(file, "", use_float=True, multiple_values=True))


def _whole(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < 2**63:
        if key is None or isinstance(key, list):
            raise UnusableSource(
                "The dump has natural keys instead of ids: make it without --natural-primary and --natural-foreign."
            )
        raise UnusableSource(UUID_IDS.format(kind=_NOT_NUMBERS))
    return key


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)
