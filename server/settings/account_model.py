"""What an account consists of on this site: section `[account]` of the site file.

It says whether an account has a username, which member shows a person's name, and which fields the site adds. Without
the section an account is that of the contract: a required username and no further fields.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
from jsonschema import Draft202012Validator

from server.settings import field_schemas
from server.settings.faults import SettingFaults

Username: TypeAlias = Literal["required", "optional", "none"]
Writer: TypeAlias = Literal["owner", "registration", "staff"]
Reader: TypeAlias = Literal["owner", "everyone"]

USERNAME_CHOICES = ("required", "optional", "none")
WRITERS = ("owner", "registration", "staff")
READERS = ("owner", "everyone")

FIELD_NAME = r"[a-z][a-z0-9_]{0,62}"
MAX_FIELDS = 100
ACCOUNT_FIELDS_MAX_BYTES = 16 * 1024  # of all fields together as PostgreSQL writes them; the constraint decides
DEFAULTS_MAX_BYTES = ACCOUNT_FIELDS_MAX_BYTES // 2  # of all defaults together: the rest is for what people write

# Members that the contract itself has in a body or a response: a declared field may not have such a name.
RESERVED_NAMES = frozenset(
    {
        *("id", "username", "email", "pending_email", "role", "profile", "user", "fields", "uid", "token"),
        *("password", "re_password", "current_password", "new_password", "re_new_password"),
        *("new_username", "re_new_username", "new_email", "re_new_email"),
        *("is_active", "is_staff", "is_superuser", "is_creator", "date_joined", "last_login", "updated_on"),
        *("awaits_activation", "sessions"),
        *("description", "location", "access", "refresh", "auth_token"),
        *("detail", "code", "messages", "non_field_errors"),
        *("shown_name",),  # a variable of letters
    }
)
# Keywords of [account.fields] itself. Each field is independent: no rules between fields, no references.
_OBJECT_KEYWORDS = frozenset({"type", "properties", "required", "title", "description"})


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountField:
    """A field that the site declares: a flat member of bodies and of the user object.

    `schema` is the JSON Schema of its value. `written_by`: "owner" at registration and later, "registration" only then,
    "staff" by staff alone. `read_by`: "owner" by the owner and staff, "everyone" in profiles by every signed-in caller.
    """

    name: str
    schema: dict[str, Any]
    is_required: bool = False
    written_by: Writer = "owner"
    read_by: Reader = "owner"

    @property
    def is_plain_text(self) -> bool:
        """Whether an empty text is a value of the field like any other."""
        constraints = {"enum", "const", "format", "pattern"} & self.schema.keys()
        return self.schema.get("type") == "string" and not constraints and not self.schema.get("minLength")

    @property
    def is_free_text(self) -> bool:
        """Whether people type its value: a text that is not one of given ones."""
        return self.schema.get("type") == "string" and not {"enum", "const"} & self.schema.keys()

    @property
    def is_structure(self) -> bool:
        """Whether a form, and the command line, give its value as JSON text."""
        return self.schema.get("type") in ("array", "object")

    @property
    def empty(self) -> Any:
        """What the user object shows while the account has no value: the default, "" for plain text, else None."""
        return self.schema.get("default", "" if self.is_plain_text else None)


@dataclass(frozen=True, kw_only=True, eq=False)
class AccountModel:
    """The account of a site. `shown_as` is the member that shows a person's name: in profiles, letters and lists."""

    username: Username = "required"
    shown_as: str = "username"
    fields: tuple[AccountField, ...] = ()

    @property
    def has_username(self) -> bool:
        """Whether an account may have a username."""
        return self.username != "none"

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The typed texts among `values` by what a person calls them: a password must not be like one of them."""
        return {
            each.name.replace("_", " "): values[each.name]
            for each in self.fields
            if each.is_free_text and isinstance(values.get(each.name), str)
        }

    def name_of(self, row: Mapping[str, Any]) -> str:
        """What a person is called: the member that the site names, else the username, else an empty text.

        `row` has the columns username, email and account_fields of the account.
        """
        if self.shown_as in ("username", "email"):
            return row[self.shown_as] or ""
        return load_account_fields(row["account_fields"]).get(self.shown_as) or row["username"] or ""

    def readers_of(self, field: AccountField) -> Reader:
        """Who sees a field somewhere: what names a person is seen by everyone."""
        return "everyone" if field.name == self.shown_as else field.read_by

    @property
    def public_fields(self) -> tuple[AccountField, ...]:
        """The fields that every signed-in caller sees in a profile."""
        return tuple(each for each in self.fields if each.read_by == "everyone")


def load_account_fields(column: str | None) -> dict[str, Any]:
    """The account fields of a row; `column` is JSON, or None when the account has none."""
    return orjson.loads(column) if column else {}


def read(table: Any, faults: SettingFaults) -> AccountModel:
    """The model that the section `table` declares. Adds every fault of the section to `faults`."""
    if not isinstance(table, dict):
        faults.add(": is not a table")
        return AccountModel()
    for name in sorted(table.keys() - {"username", "shown_as", "fields", "written_by", "read_by"}):
        faults.add(f".{name}: is unknown")
    username = table.get("username", "required")
    if username not in USERNAME_CHOICES:
        faults.add(f".username: is one of {', '.join(USERNAME_CHOICES)}")
        username = "required"
    fields = _fields(table, faults)
    shown_as = table.get("shown_as", "username")
    _check_shown_as(shown_as, username, fields, faults, is_there="shown_as" in table)
    read_by = table.get("read_by")
    if isinstance(read_by, dict) and str(shown_as) in fields and read_by.get(str(shown_as)) == "owner":
        faults.add(f".read_by.{shown_as}: is owner, but shown_as shows the field to every signed-in caller")
    return AccountModel(username=username, shown_as=str(shown_as), fields=tuple(fields.values()))


def _check_shown_as(
    shown_as: Any, username: str, fields: Mapping[str, AccountField], faults: SettingFaults, *, is_there: bool
) -> None:
    names = [*(["username"] if username != "none" else []), "email"]
    names += [name for name, field in fields.items() if field.schema.get("type") == "string"]
    if shown_as not in names:
        verb = "is" if is_there else "is required without usernames:"
        faults.add(f".shown_as: {verb} one of {', '.join(names)}")


def _fields(table: dict[str, Any], faults: SettingFaults) -> dict[str, AccountField]:
    schema = table.get("fields", {"type": "object", "properties": {}})
    place = faults.within(".fields")
    if not isinstance(schema, dict):
        place.add(": is not a table")
        return {}
    field_schemas.check(schema, place)
    for keyword in sorted(schema.keys() - _OBJECT_KEYWORDS):
        place.add(f".{keyword}: is not supported here: each field is independent")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}  # reported above
    if len(properties) > MAX_FIELDS:
        place.add(f".properties: has more than {MAX_FIELDS} fields")
    written_by = _choices(table, "written_by", WRITERS, properties, faults)
    read_by = _choices(table, "read_by", READERS, properties, faults)
    fields = {}
    for name, each in properties.items():
        field = AccountField(
            name=name,
            schema=each if isinstance(each, dict) else {},
            is_required=name in required,
            written_by=written_by.get(name, "owner"),
            read_by=read_by.get(name, "owner"),
        )
        if isinstance(each, bool):  # a schema for JSON Schema, and no input for a form
            place.add(f".properties.{name}: is not a table")
        _check_field(field, place.within(f".properties.{name}"))
        fields[name] = field
    defaults = {name: each.schema["default"] for name, each in fields.items() if "default" in each.schema}
    if len(orjson.dumps(defaults, default=str)) > DEFAULTS_MAX_BYTES:
        place.add(f".properties: defaults have more than {DEFAULTS_MAX_BYTES} bytes together")
    return fields


def _check_field(field: AccountField, faults: SettingFaults) -> None:
    if field.name in RESERVED_NAMES:
        faults.add(": is a name of the contract itself")
    elif not re.fullmatch(FIELD_NAME, field.name):
        faults.add(": is not a name: small letters, digits and _, 63 at most, a letter first")
    if field_schemas.has_reference(field.schema):
        faults.add(": contains a $ref, which is not supported here")
    elif "default" in field.schema and _has_unstorable(field.schema["default"]):
        faults.add(".default: contains a character that PostgreSQL does not store")
    elif "default" in field.schema and not _fits(field.schema["default"], field.schema):
        faults.add(".default: does not fit the schema")
    if field.written_by == "staff" and field.is_required and "default" not in field.schema:
        faults.add(": is required at registration, but only staff writes it: it needs a default")


def _has_unstorable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    members = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has_unstorable(each) for each in members)


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    try:
        return bool(Draft202012Validator(schema).is_valid(value))
    except Exception:  # an invalid schema is reported by field_schemas.check
        return True


def _choices(
    table: dict[str, Any], key: str, words: tuple[str, ...], properties: dict[str, Any], faults: SettingFaults
) -> dict[str, Any]:
    choices = table.get(key, {})
    place = faults.within(f".{key}")
    if not isinstance(choices, dict):
        place.add(": is not a table")
        return {}
    for name, word in choices.items():
        if name not in properties:
            place.add(f".{name}: is not a field of the account")
        if word not in words:
            place.add(f".{name}: is one of {', '.join(words)}")
    return {name: word for name, word in choices.items() if word in words}
