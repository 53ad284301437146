"""What the OpenAPI document says of the service's own fields, which apispec does not know (contract 1.3, 3.2, 3.3)."""

from typing import Any

from marshmallow import fields

from server.web.documentation.role_components import component, input_name, update_name
from server.web.schemas.account_fields import AccountValue
from server.web.schemas.fields import Email, Flag, Password, Query, Text
from server.web.schemas.role_fields import RoleFields

# ECMA 262 has no flag for case inside of a pattern.
_WORDS = "|".join(
    "".join(f"[{letter}{letter.upper()}]" for letter in word)
    for word in ("t", "y", "yes", "true", "on", "f", "n", "no", "false", "off")
)
_FLAG_WORDS = rf"^\s*(?:{_WORDS}|[01])\s*$"
_ANY_TEXT = r"^[^\u0000]*$"  # PostgreSQL cannot store NUL
_NOT_BLANK = r"^\s*[^\s\u0000][^\u0000]*$"  # white space around a text is removed first


def field_facts(self: Any, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """What a client sends in a field: one type, so that generated clients have one."""
    found = kwargs["ret"]
    # A body is never a response: two types of one schema, with and without the field, would be the same.
    found.pop("writeOnly", None)
    if found.get("default") in (None, found.get("maximum")):  # a parameter that is left out
        found.pop("default", None)
    if isinstance(field.parent, Query) and isinstance(found.get("type"), list):  # no parameter is null
        found["type"] = found["type"][0]
    if isinstance(field.parent, Query) and None in found.get("enum", ()):
        found["enum"] = [each for each in found["enum"] if each is not None]
    if isinstance(field, Text):
        return _text_facts(field)
    if isinstance(field, RoleFields):
        for name in ("type", "additionalProperties"):  # the schemas of the roles say more
            found.pop(name, None)
        name_of = input_name if field.whole else update_name
        return {"anyOf": [component(name_of(role)) for role in field.roles]}
    if isinstance(field, AccountValue):
        return field.document()
    return {}


def accepted_facts(self: Any, field: fields.Field[Any], **kwargs: Any) -> dict[str, Any]:
    """Everything that the service accepts in a field: numbers for text, and all words for flags."""
    found, facts = kwargs["ret"], field_facts(self, field, **kwargs)
    if isinstance(field, Email) and field.blank:
        facts["anyOf"] = [{"format": "email"}, {"pattern": r"^\s*$"}]
    elif isinstance(field, Text) and not isinstance(field, Email):  # no number is an address
        types = found.get("type", "string")
        facts["type"] = [*([types] if isinstance(types, str) else types), "number"]
    if isinstance(field, Flag):
        found.pop("type")  # every word of contract 3.3, in any case
        facts["anyOf"] = [{"type": "boolean"}, {"type": "string", "pattern": _FLAG_WORDS}, {"enum": [0, 1]}]
    return facts


def _text_facts(field: Text) -> dict[str, Any]:
    """What the document says of a text, beside what apispec finds (contract 1.3)."""
    facts: dict[str, Any] = {"pattern": _ANY_TEXT if field.blank or not field.trim else _NOT_BLANK}
    if not field.blank:
        facts["minLength"] = 1
    if isinstance(field, Email) and not field.blank:
        facts["format"] = "email"
    if isinstance(field, Password):
        facts["format"] = "password"
    return facts
