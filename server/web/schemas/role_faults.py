"""The faults of an object that does not fit the JSON Schema of a role: texts by field, nested as the fields are.

The texts are those of contract 8; where that has none, those of the reference's framework (Django REST framework).
"""

import datetime
import functools
import ipaddress
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema import ValidationError as Mismatch
from jsonschema.validators import extend
from marshmallow import ValidationError
from referencing import Registry

from server.settings.account_model import AccountField
from server.settings.field_schemas import compiled
from server.settings.roles import Role
from server.web.schemas.fields import BLANK, NOT_EMAIL, NOT_FLAG, NOT_TEXT, NULL, REQUIRED, Email, not_an_object

ROLE_FIELDS_MAX_BYTES = 16 * 1024  # as JSON

ROLE_FIELDS_TOO_LONG = f"Ensure this field has no more than {ROLE_FIELDS_MAX_BYTES} bytes."
UNKNOWN_FIELD = "Unknown field."
NOT_VALID = "Not a valid value."

Place = tuple[str, ...]


def faults(role: Role, given: dict[str, Any]) -> dict[str, Any]:
    """The faults of `given` under the schema of `role`: texts by field, nested as the fields are; empty if it fits."""
    if len(orjson.dumps(given)) > ROLE_FIELDS_MAX_BYTES:
        return {"non_field_errors": [ROLE_FIELDS_TOO_LONG]}
    return _faults(role, given)


def value_faults(field: AccountField, value: Any) -> Any:
    """The faults of the value of an account field: a list of texts, or texts by member when a member has the fault."""
    if len(orjson.dumps(value, default=str)) > ROLE_FIELDS_MAX_BYTES:
        return [ROLE_FIELDS_TOO_LONG]
    return unnested(_faults(field, value))


def unnested(nested_faults: dict[str, Any]) -> Any:
    """Texts of a value as a list when they are all of the value itself, and not of its members."""
    return nested_faults["non_field_errors"] if nested_faults.keys() == {"non_field_errors"} else nested_faults


def _faults(owner: Role | AccountField, given: Any) -> dict[str, Any]:
    found: dict[Place, list[str]] = {}
    first: dict[Place, list[str]] = {}
    for error in _validator(owner).iter_errors(given):
        place, text = tuple(str(step) for step in error.absolute_path), _text_of(error)
        # A value of the wrong type, or a blank one, has no further faults (contract 1.3).
        texts = (first if error.validator == "type" or text == BLANK else found).setdefault(place, [])
        if text not in texts:
            texts.append(text)
    return nested(found | first)


def nested(faults: Mapping[Place, list[str]]) -> dict[str, Any]:
    """Nest texts by place. If a field and its members have faults, those of the field are its `non_field_errors`."""
    root: dict[str, Any] = {}
    for place, texts in faults.items():
        node = root
        for step in place:
            node = node.setdefault(step, {})
        node.setdefault("non_field_errors", []).extend(texts)
    return {name: _leaf(node) for name, node in root.items()}


def _leaf(node: Any) -> Any:
    if isinstance(node, list):
        return node
    return node["non_field_errors"] if node.keys() == {"non_field_errors"} else {n: _leaf(e) for n, e in node.items()}


def _required(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[Mismatch]:
    if validator.is_type(instance, "object"):
        yield from (Mismatch(REQUIRED, path=[name]) for name in names if name not in instance)


def _dependent_required(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[Mismatch]:
    if validator.is_type(instance, "object"):
        for name in names.keys() & instance.keys():
            yield from _required(validator, names[name], instance, schema)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Mismatch]:
    if validator.is_type(instance, "object"):
        for name in instance.keys() - schema.get("properties", {}).keys():
            if allowed is False:
                yield Mismatch(UNKNOWN_FIELD, path=[name])
            else:
                yield from validator.descend(instance[name], allowed, path=name)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Mismatch]:
    # jsonschema's own check runs Python's `re`, which a client's text can keep busy for years.
    if validator.is_type(instance, "string") and not compiled(pattern).search(instance):
        yield Mismatch("This value does not match the required pattern.")


def _unique_items(validator: Any, wanted: bool, instance: Any, schema: Any) -> Iterator[Mismatch]:
    # jsonschema's own check compares each element with each other one.
    if not wanted or not validator.is_type(instance, "array"):
        return
    if len({json.dumps(each, sort_keys=True) for each in instance}) < len(instance):
        yield Mismatch("Ensure this field has no repeated elements.")


_Validator: Any = extend(
    Draft202012Validator,
    {
        "required": _required,
        "dependentRequired": _dependent_required,
        "additionalProperties": _additional_properties,
        "pattern": _pattern,
        "uniqueItems": _unique_items,
    },
)


@functools.cache
def _validator(owner: Role | AccountField) -> Any:
    schema = owner.fields if isinstance(owner, Role) else owner.schema
    return _Validator(schema, registry=Registry(), format_checker=_formats())


_TYPE_TEXTS = {
    "string": NOT_TEXT,
    "boolean": NOT_FLAG,
    "integer": "A valid integer is required.",
    "number": "A valid number is required.",
}
_KEYWORD_TEXTS: dict[str, str] = {
    "minLength": "Ensure this field has at least {} characters.",
    "maxLength": "Ensure this field has no more than {} characters.",
    "minimum": "Ensure this value is greater than or equal to {}.",
    "maximum": "Ensure this value is less than or equal to {}.",
    "exclusiveMinimum": "Ensure this value is greater than {}.",
    "exclusiveMaximum": "Ensure this value is less than {}.",
    "multipleOf": "Ensure this value is a multiple of {}.",
    "minItems": "Ensure this field has at least {} elements.",
    "maxItems": "Ensure this field has no more than {} elements.",
    "minProperties": "Ensure this field has at least {} fields.",
    "maxProperties": "Ensure this field has no more than {} fields.",
    "enum": "Not a valid choice.",
    "const": "Not a valid choice.",
}
_FORMAT_TEXTS = {
    "email": NOT_EMAIL,
    "uri": "Enter a valid URL.",
    "date": "Date has wrong format. Use one of these formats instead: YYYY-MM-DD.",
    "time": "Time has wrong format. Use one of these formats instead: hh:mm:ss with Z or +hh:mm.",
    "date-time": "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm:ss with Z or +hh:mm.",
    "uuid": "Must be a valid UUID.",
    "ipv4": "Enter a valid IPv4 address.",
    "ipv6": "Enter a valid IPv6 address.",
}
_OWN_KEYWORDS = {"required", "dependentRequired", "additionalProperties", "pattern", "uniqueItems"}


def _text_of(error: Any) -> str:
    keyword, wanted, given = error.validator, error.validator_value, error.instance
    if keyword in _OWN_KEYWORDS:
        return str(error.message)
    if keyword == "type":
        return _type_text(wanted, given)
    if keyword == "minLength" and given == "":
        return BLANK
    if keyword == "format":
        return _FORMAT_TEXTS[wanted]
    return _KEYWORD_TEXTS.get(keyword, NOT_VALID).format(wanted)


def _type_text(wanted: str | list[str], given: Any) -> str:
    types = [wanted] if isinstance(wanted, str) else [each for each in wanted if each != "null"]
    if given is None:
        return NULL
    if types == ["object"]:
        return not_an_object(given)
    if types == ["array"]:
        return f'Expected a list of items but got type "{type(given).__name__}".'
    return _TYPE_TEXTS.get(types[0], NOT_VALID) if len(types) == 1 else NOT_VALID


def _formats() -> FormatChecker:
    """The formats that are checked; all others are hints for front ends."""
    day, clock = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)"
    checks: dict[str, tuple[str, Callable[[str], Any]]] = {
        "email": (".*", Email().deserialize),
        "uri": (r"[A-Za-z][A-Za-z0-9+.-]*:(//)?[^\s<>\"\\^`{|}/][^\s<>\"\\^`{|}]*", str),
        "date": (day, datetime.date.fromisoformat),
        "time": (clock, datetime.time.fromisoformat),
        "date-time": (f"{day}T{clock}", datetime.datetime.fromisoformat),
        "uuid": (r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", uuid.UUID),
        "ipv4": (r"[\d.]+", ipaddress.IPv4Address),
        "ipv6": (r"[0-9A-Fa-f:.]+", ipaddress.IPv6Address),
    }
    checker = FormatChecker(formats=())
    for name, (pattern, read) in checks.items():
        checker.checks(name, raises=(ValueError, ValidationError))(functools.partial(_has_format, pattern, read))
    return checker


def _has_format(pattern: str, read: Callable[[str], Any], value: object) -> bool:
    if not isinstance(value, str):
        return True  # the keyword `type` checks it
    if not re.fullmatch(pattern, value, re.ASCII):
        return False
    read(value)
    return True
