"""What the OpenAPI document says of the service's own fields, which apispec does not know (contract 1.3, 3.2, 3.3)."""

from typing import Any

from marshmallow import fields

from server.settings.roles import Role
from server.web.schemas.account_fields import AccountValue
from server.web.schemas.fields import Email, Flag, Password, Text
from server.web.schemas.role_fields import RoleFields

# ECMA 262 has no flag for case inside of a pattern.
_WORDS = "|".join(
    "".join(f"[{letter}{letter.upper()}]" for letter in word)
    for word in ("t", "y", "yes", "true", "on", "f", "n", "no", "false", "off")
)
_FLAG_WORDS = rf"^\s*(?:{_WORDS}|[01])\s*$"
_ANY_TEXT = r"^[^\u0000]*$"  # PostgreSQL cannot store NUL
_NOT_BLANK = r"^\s*[^\s\u0000][^\u0000]*$"  # white space around a text is removed first


def fields_name(role: Role) -> str:
    """The name of the schema of the fields of a role."""
    return f"fields.{role.name}"


def component(name: str) -> str:
    """A reference to a schema of the document."""
    return f"#/components/schemas/{name}"


def field_facts(self: Any, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """The rules of the service's own fields, which apispec does not know."""
    facts: dict[str, Any] = {}
    if isinstance(field, Text):
        facts |= _text_facts(field, kwargs.get("ret", {}))
    if isinstance(field, Password):
        facts["format"] = "password"
    if isinstance(field, Flag):
        found = kwargs["ret"]
        found.pop("type")  # every word of contract 3.3, in any case
        if "default" in found and found["default"] is None:  # a filter that is left out
            del found["default"]
        facts["anyOf"] = [{"type": "boolean"}, {"type": "string", "pattern": _FLAG_WORDS}, {"enum": [0, 1]}]
    if isinstance(field, RoleFields) and field.whole:
        facts["anyOf"] = [{"$ref": component(fields_name(role))} for role in field.roles]
    if isinstance(field, AccountValue):
        return field.document()
    return facts


def _text_facts(field: Text, found: dict[str, Any]) -> dict[str, Any]:
    """What the document says of a text, beside what apispec has `found` (contract 1.3)."""
    facts: dict[str, Any] = {"pattern": _ANY_TEXT if field.blank or not field.trim else _NOT_BLANK}
    if not field.blank:
        facts["minLength"] = 1
    if isinstance(field, Email):  # no number is an address
        facts |= {"anyOf": [{"format": "email"}, {"pattern": r"^\s*$"}]} if field.blank else {"format": "email"}
    else:
        types = found.get("type", "string")
        facts["type"] = [*([types] if isinstance(types, str) else types), "number"]
    return facts
