"""The account fields that the site declares, as members of request bodies and of the user object (contract 11.27).

Each is one marshmallow field, so that its faults are reported together with those of all other fields.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from server.settings.account_model import AccountField, AccountModel
from server.web.schemas.fields import BLANK, NOT_TEXT, NULL, REQUIRED, read_flag
from server.web.schemas.role_faults import value_faults
from server.web.schemas.role_fields import clean

ANNOTATIONS = ("title", "description", "default")  # keywords that constrain nothing
_INTEGER = re.compile("[+-]?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{1,19})?", re.ASCII)

MUST_BE_ACCEPTED = "This field must be accepted."


class AccountValue(fields.Field[Any]):
    """The value of one declared field. Without a value (null, or "" where that is no value) it is None.

    `keeps_absent`: an absent field stays as it is, also where a form does not send a flag.
    """

    default_error_messages = {"required": REQUIRED, "null": NULL}

    def __init__(self, declared: AccountField, *, keeps_absent: bool = False, **options: Any) -> None:
        super().__init__(allow_none=not declared.is_required, **options)
        self.declared = declared
        self.keeps_absent = keeps_absent

    @property
    def is_flag(self) -> bool:
        """Whether a form shows it as a box: an unticked box is not sent."""
        return self.declared.schema.get("type") == "boolean"

    def document(self) -> dict[str, Any]:
        """The JSON Schema of the member. Optional members may be null: that is how a value is removed.

        The default is in the description: generators take a member with a `default` for a required one.
        """
        schema: dict[str, Any] = dict(self.declared.schema)
        if "default" in schema and not self.required:
            said = f"Default: {json.dumps(schema.pop('default'), ensure_ascii=False)}."
            schema["description"] = " ".join([*filter(None, [schema.get("description")]), said])
        if not self.allow_none:
            return schema
        annotations = {name: schema.pop(name) for name in ANNOTATIONS if name in schema}
        return annotations | {"anyOf": [schema, {"type": "null"}]}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, bytes):  # a file of a multipart body
            raise ValidationError(NOT_TEXT)
        cleaned = clean(self._coerced(value))
        if cleaned == "" and not self._takes_blank:
            if self.declared.is_required:
                raise ValidationError(BLANK)
            return None
        faults = value_faults(self.declared, cleaned)
        if faults:
            raise ValidationError(MUST_BE_ACCEPTED if self._is_consent and cleaned is False else faults)
        return cleaned

    @property
    def _takes_blank(self) -> bool:
        return self.declared.is_plain_text and not self.declared.is_required

    @property
    def _is_consent(self) -> bool:
        return self.declared.schema.get("const") is True

    def _coerced(self, value: Any) -> Any:
        """Numbers become text, and text becomes numbers and flags, as in other fields (contract 1.3, 3.3)."""
        kind = self.declared.schema.get("type") or ("boolean" if self._is_consent else None)
        if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if kind == "boolean":
            return read_flag(value, value)
        if isinstance(value, str) and kind == "integer" and _INTEGER.fullmatch(value.strip()):
            return int(value)
        if isinstance(value, str) and kind == "number" and _NUMBER.fullmatch(value.strip()):
            return float(value)
        return value


def at_registration(account: AccountModel, schema: type[Schema], *, by_staff: bool = False) -> type[Schema]:
    """`schema` with the fields that people, or staff, write when they make an account."""
    written = tuple(each for each in account.fields if by_staff or each.written_by != "staff")
    return _with(schema, account, written, written)


def in_edit(account: AccountModel, schema: type[Schema], *, by_staff: bool, partial: bool) -> type[Schema]:
    """`schema` with the fields that an edit may change. `partial`: an absent field stays as it is, as in PATCH.

    Otherwise, as in PUT, the owner's fields are replaced; what the owner does not write stays when it is absent.
    """
    owned = tuple(each for each in account.fields if each.written_by == "owner")
    return _with(schema, account, account.fields if by_staff else owned, () if partial else owned)


def in_response(schema: type[Schema], declared: Iterable[AccountField]) -> type[Schema]:
    """A response schema with declared fields; every one is always there."""
    return _shown(schema, tuple(declared))


def given_values(account: AccountModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """The declared fields among the fields of a body."""
    return {each.name: given[each.name] for each in account.fields if each.name in given}


def first_values(account: AccountModel, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The account fields that a new account begins with, defaults included; None when there are none."""
    values = {}
    for each in account.fields:
        value = given.get(each.name)
        if value is None:
            value = each.schema.get("default")
        if value is not None:
            values[each.name] = value
    return values or None


@functools.cache
def _with(
    schema: type[Schema],
    account: AccountModel,
    declared: tuple[AccountField, ...],
    replaced: tuple[AccountField, ...],
) -> type[Schema]:
    if not account.fields:
        return schema
    members = {
        each.name: AccountValue(each, required=each.is_required and each in replaced, keeps_absent=each not in replaced)
        for each in declared
    }
    return type(schema.__name__, (schema,), {"__doc__": schema.__doc__, "_account": account, **members})


@functools.cache
def _shown(schema: type[Schema], declared: tuple[AccountField, ...]) -> type[Schema]:
    if not declared:
        return schema
    members = {each.name: AccountValue(each, required=True) for each in declared}
    return type(schema.__name__, (schema,), {"__doc__": schema.__doc__, **members})
