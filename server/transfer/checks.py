"""Checks a row of an import as a registration would be, and makes of it what `imports/take` wants.

The texts are those of contract 8. No text has a password hash in it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from marshmallow import ValidationError, fields

from server.auth import argon2_hashes
from server.auth.passwords import format_of
from server.database.ids import read_id
from server.settings.account_model import ACCOUNT_FIELDS_MAX_BYTES, AccountModel
from server.settings.settings import Settings
from server.templates import DEFAULT_LANGUAGE
from server.transfer.rows import Row
from server.web.schemas.account_fields import AccountValue, first_values
from server.web.schemas.fields import (
    DESCRIPTION_MAX_BYTES,
    LOCATION_MAX_LENGTH,
    NOT_FLAG,
    REQUIRED,
    Email,
    OptionalUsername,
    Text,
    Username,
    max_bytes,
    max_length,
    read_flag,
)
from server.web.schemas.role_faults import faults as role_faults

MAX_ID = 2**53 - 1  # the largest number that is exact in JSON for every client (RFC 8259 §6)
HASH_MAX_LENGTH = 512  # characters; the reference's column has 128
UNUSABLE = "!"  # no password fits, and no letter to reset it goes out, as in Django
TO_RESET = "reset$"  # of no format: no password fits, and a letter to reset it goes out
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})?")

Account = dict[str, Any]


class Checks:
    """Checks rows for one site. `reset_unusable`: an account whose hash is of no use is taken without a password."""

    def __init__(self, settings: Settings, *, reset_unusable: bool = False) -> None:
        self._settings = settings
        self._reset_unusable = reset_unusable
        self._is_named = self._model.username == "required"
        self._username = Username() if self._is_named else OptionalUsername()
        self._email = Email(blank=True, lower_domain=True)
        self._fields = {each.name: AccountValue(each) for each in self._model.fields}
        self._location = Text(blank=True, validate=[max_length(LOCATION_MAX_LENGTH)])
        self._description = Text(blank=True, validate=[max_bytes(DESCRIPTION_MAX_BYTES)])

    @property
    def _model(self) -> AccountModel:
        return self._settings.account

    def check(self, row: Row) -> tuple[Account, list[str]]:
        """The account of a row, and why it cannot be taken; with a reason the account is not complete."""
        if row.fault:
            return {"place": row.place}, [row.fault]
        reading = _Reading(row.values)
        account: Account = {
            "place": row.place,
            "id": reading.id("id"),
            "username": self._read_username(reading),
            "email": reading.field("email", self._email) or "",
            "password": self._password(reading),
            **{name: reading.flag(name, default) for name, default in _FLAGS.items()},
            "language": self._language(reading),
            "role": self._role(reading),
            "date_joined": reading.moment("date_joined"),
            "last_login": reading.moment("last_login"),
            "adopts_tokens": row.adopts_tokens,
            "api_token": row.api_token,
        }
        account["awaits_activation"] = account["awaits_activation"] and not account["is_active"]
        account["role_fields"] = self._role_fields(reading, account["role"])
        account["account_fields"] = self._account_fields(reading)
        account |= self._profile(reading)
        self._check_login(reading, account)
        return account, reading.reasons

    def _read_username(self, reading: "_Reading") -> str | None:
        if not self._model.has_username:
            return None
        name: str | None = reading.field("username", self._username, required=self._is_named)
        return name

    def _check_login(self, reading: "_Reading", account: Account) -> None:
        is_needed = self._settings.login_field == "email" or account["username"] is None
        if is_needed and not account["email"] and not reading.reasons:
            reading.reasons.append(f"email: {REQUIRED}")

    def _password(self, reading: "_Reading") -> str:
        stored = reading.get("password_hash")
        if stored is None or (isinstance(stored, str) and stored.startswith(UNUSABLE)):
            return UNUSABLE
        if stored == TO_RESET:  # of an account that an import took so, and an export wrote
            return TO_RESET
        if isinstance(stored, str) and len(stored) <= HASH_MAX_LENGTH and format_of(stored):
            return stored
        if not self._reset_unusable:
            is_argon2 = isinstance(stored, str) and stored.startswith("argon2$") and not argon2_hashes.IS_INSTALLED
            what = "needs the extra argon2" if is_argon2 else "of no format that can be checked, or too costly"
            reading.reasons.append(f"password_hash: {what}")
        return TO_RESET

    def _language(self, reading: "_Reading") -> str:
        language = reading.get("language")
        if language is None:
            return DEFAULT_LANGUAGE
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            reading.reasons.append("language: is not the code of a language")
        return str(language)

    def _role(self, reading: "_Reading") -> str | None:
        role = reading.get("role")
        if role is None:
            return None
        if not isinstance(role, str) or self._settings.roles.get(role) is None:
            reading.reasons.append("role: the site has no such role")
        return str(role)

    def _role_fields(self, reading: "_Reading", role: str | None) -> dict[str, Any] | None:
        given = reading.json("role_fields")
        if given is None or reading.reasons:
            return None
        declared = self._settings.roles.get(role)
        if declared is None or not isinstance(given, dict):
            reading.reasons.append("role_fields: are an object, of an account that has a role")
            return None
        reading.reasons += _flat(role_faults(declared, given), "role_fields")
        return given

    def _account_fields(self, reading: "_Reading") -> dict[str, Any] | None:
        given = reading.get("fields") or {}
        values = {}
        for name, each in self._fields.items():
            value = given.get(name)
            if isinstance(value, str) and each.declared.is_structure:
                value = _loaded(value)
            if value is None:
                if each.declared.is_required and "default" not in each.declared.schema:
                    reading.reasons.append(f"{name}: {REQUIRED}")
                continue
            try:
                values[name] = each.deserialize(value)
            except ValidationError as failure:
                reading.reasons += _flat(failure.messages, name)
        made = first_values(self._model, values)
        if made and len(orjson.dumps(made)) + 2 * len(made) > ACCOUNT_FIELDS_MAX_BYTES:  # with the spaces of PostgreSQL
            reading.reasons.append(f"fields: have more than {ACCOUNT_FIELDS_MAX_BYTES} bytes together")
        return made

    def _profile(self, reading: "_Reading") -> Account:
        given = reading.get("profile")
        if not given:
            return {}
        inner = _Reading(given, "profile.")
        profile = {
            "profile_id": inner.id("id"),
            "description": inner.field("description", self._description, keeps_empty=True),
            "location": inner.field("location", self._location) or "",
            "is_creator": inner.flag("is_creator", False),
            "profile_joined": inner.moment("date_joined"),
            "profile_updated": inner.moment("updated_on"),
        }
        reading.reasons += inner.reasons
        return profile


_FLAGS = {"is_active": True, "is_staff": False, "awaits_activation": False}


class _Reading:
    """Reads the members of a row, and collects what is wrong with them."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix
        self.reasons: list[str] = []

    def get(self, name: str) -> Any:
        value = self._values.get(name)
        return None if value == "" else value

    def field(self, name: str, kind: fields.Field[Any], *, required: bool = False, keeps_empty: bool = False) -> Any:
        """`keeps_empty`: an empty text is a value of its own beside None."""
        value = self._values.get(name) if keeps_empty else self.get(name)
        if value is None:
            if required:
                self._add(name, REQUIRED)
            return None
        try:
            return kind.deserialize(value)
        except ValidationError as failure:
            self.reasons += _flat(failure.messages, self._prefix + name)
            return None

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        read = default if value is None else read_flag(value, None)
        if read is None:
            self._add(name, NOT_FLAG)
        return bool(read)

    def id(self, name: str) -> int | None:
        value = self.get(name)
        if value is None:
            return None
        number = read_number(value)
        if number is None:
            self._add(name, f"is not a whole number from 1 to {MAX_ID}")
            return None
        return number

    def moment(self, name: str) -> datetime | None:
        """A time; one without an offset is in UTC, as Django without USE_TZ stores it by default."""
        value = self.get(name)
        if value is None:
            return None
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            self._add(name, "is not a time such as 2026-11-23T15:12:37Z")
            return None

    def json(self, name: str) -> Any:
        value = self.get(name)
        return _loaded(value) if isinstance(value, str) else value

    def _add(self, name: str, text: str) -> None:
        self.reasons.append(f"{self._prefix}{name}: {text}")


def read_number(value: Any) -> int | None:
    """The id that a row writes, as a number or in the digits of one; "030" is no id."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    number = read_id(text)
    return number if number is not None and 1 <= number <= MAX_ID and str(number) == text else None


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text  # the field refuses a text that is no JSON


def _flat(messages: Any, place: str) -> Iterator[str]:
    """Each text of nested faults, with its place before it."""
    if isinstance(messages, dict):
        for name, each in messages.items():
            yield from _flat(each, place if name == "non_field_errors" else f"{place}.{name}")
    else:
        for text in messages:
            yield f"{place}: {text}"
