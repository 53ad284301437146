"""The users of a Django site in a file of `dumpdata` (JSON or JSONL), in constant memory.

The objects of a dump come in the order of their models, so users, profiles and tokens are apart. They are put into
tables of a temporary file first (SQLite), which is deleted at the end, and read from there in the order of the ids.
"""

import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from server.transfer.checks import MAX_ID
from server.transfer.django_users import UUID_IDS, DjangoUsers
from server.transfer.dump_objects import DumpObject, encode, read_objects
from server.transfer.rows import PAGE_ROWS, Revoked, Row, UnusableSource

# `odd_users` have keys that are no whole numbers. The profile of a user has its primary key in `data`, too.
TABLES = """
create table users (id integer primary key, data blob, fault text);
create table odd_users (key text, data blob, fault text);
create table profiles (user_id integer primary key, id integer, data blob, fault text);
create table tokens (user_id integer primary key, key text);
create table outstanding (id integer primary key, jti text, expires_at text);
create table blacklisted (token_id integer primary key);
"""
ODD_KEY = "pk: is not a whole number"
_USER = {"password", "last_login", "is_active"}
_PROFILE = {"user", "description", "location", "is_creator"}
_NOT_NUMBERS = "no whole numbers"
_USERS = """
select u.id, u.data, u.fault, p.data, p.fault, t.key
from users u
left join profiles p on p.user_id = u.id
left join tokens t on t.user_id = u.id
order by u.id
"""
_REVOKED = "select o.jti, o.expires_at from blacklisted b join outstanding o on o.id = b.token_id order by o.id"
_ODD_USERS = "select key, data, fault, null, '', null from odd_users order by rowid"


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
            count, odd = self._number("select count(*) from users"), self._number("select count(*) from odd_users")
            # Higher ones are not taken.
            self.highest_id = self._number("select max(id) from users where id <= ?", MAX_ID)
            self.highest_profile_id = self._number("select max(id) from profiles where id <= ?", MAX_ID)
            if odd and not count:
                raise UnusableSource(UUID_IDS.format(kind=_NOT_NUMBERS))
            self.total = count + odd
        except sqlite3.Error as failure:
            self._staged.close()
            raise UnusableSource(self._no_room(failure)) from None
        except BaseException:
            self._staged.close()
            raise

    async def close(self) -> None:
        """Delete the temporary file."""
        self._staged.close()

    def _number(self, query: str, *values: int) -> int:
        return self._staged.execute(query, values).fetchone()[0] or 0

    def _no_room(self, failure: sqlite3.Error) -> str:
        return (
            f"The temporary file, which has the users of {self._path}, cannot be used: {failure}. It needs as much room"
            " as they have there, in the folder of TMPDIR."
        )

    def _stage(self) -> None:
        for each in read_objects(self._path):
            try:
                self._stage_object(each)
            except sqlite3.IntegrityError:
                raise UnusableSource(f"{self._path} has an object twice: {each.model} {each.key}.") from None
        if self._user_model is None:
            raise UnusableSource(f"{self._path} has no users: dumpdata writes those of the user model, too.")

    def _stage_object(self, each: DumpObject) -> None:
        model, fields = each.model, each.fields
        if model == self._user_model or (self._user_model is None and fields.keys() >= _USER):
            self._user_model = model
            self._check_columns(fields)
            self._stage_user(each)
        elif model == "authtoken.token":
            if (user_id := _whole(fields.get("user"))) is not None:
                self._put("tokens", user_id, str(each.key))
        elif model == "token_blacklist.outstandingtoken":
            self._put("outstanding", self._id(each, each.key), str(fields.get("jti")), str(fields.get("expires_at")))
        elif model == "token_blacklist.blacklistedtoken":
            self._put("blacklisted", self._id(each, fields.get("token")))
        elif fields.keys() >= _PROFILE and (user_id := _whole(fields["user"])) is not None:
            self._put("profiles", user_id, _whole(each.key), *encode(fields | {"id": each.key}))

    def _stage_user(self, each: DumpObject) -> None:
        user_id, (data, fault) = _whole(each.key), encode(each.fields)
        if user_id is None:
            self._put("odd_users", str(each.key), data, ODD_KEY)
        else:
            self._put("users", user_id, data, fault)

    def _id(self, each: DumpObject, key: Any) -> int:
        """A key of simplejwt's tables. None is left out: a token that was revoked would be adopted."""
        number = _whole(key)
        if number is None:
            raise UnusableSource(f"{self._path}: {each.model} {each.key} has an id that is not a whole number.")
        return number

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
        """All users in the order of their ids, at most PAGE_ROWS at once. Raises UnusableSource."""
        try:
            rows = enumerate(chain(self._staged.execute(_USERS), self._staged.execute(_ODD_USERS)), 1)
            while page := [self._row(place, *row) for place, row in islice(rows, PAGE_ROWS)]:
                yield page
        except sqlite3.Error as failure:
            raise UnusableSource(self._no_room(failure)) from None

    def _row(
        self, place: int, user_id: int | str, user: bytes, fault: str, profile: bytes, profile_fault: str, key: str
    ) -> Row:
        read = orjson.loads(profile) if profile else None
        row = self._users.row(place, user_id, orjson.loads(user), read, key)
        return dataclasses.replace(row, fault=fault or profile_fault or "")

    async def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Refresh tokens in the blacklist that have not expired, at most PAGE_ROWS at once. Raises UnusableSource."""
        try:
            rows = ((jti, _moment(text)) for jti, text in self._staged.execute(_REVOKED))
            living = (Revoked(jti, when) for jti, when in rows if when > _now())
            while page := list(islice(living, PAGE_ROWS)):
                yield page
        except sqlite3.Error as failure:
            raise UnusableSource(self._no_room(failure)) from None


def _whole(key: Any) -> int | None:
    """A key that is a whole number of a column; None for others. Raises UnusableSource for a natural key."""
    if key is None or isinstance(key, list):
        raise UnusableSource(
            "The dump has natural keys instead of ids: make it without --natural-primary and --natural-foreign."
        )
    return key if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < 2**63 else None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(UTC)
