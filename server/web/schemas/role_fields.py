"""What people write into the fields of their role: bounded first, then held against the role's JSON Schema.

docs/decisions/roles.md
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from marshmallow import ValidationError, fields

from server.errors import FieldErrors
from server.settings.roles import Role, Roles
from server.web.schemas.fields import NULL, REQUIRED, no_object, no_odd_characters
from server.web.schemas.role_faults import Place, faults, nested

MAX_VALUES = 1000
MAX_DEPTH = 16
MAX_NUMBER = 2**63 - 1
MIN_NUMBER = 1e-15  # but for 0: PostgreSQL writes out every digit, of 1e300 and of 1e-300 three hundred

NO_ROLE = "Without a role there are no fields."
ROLE_IS_GONE = "The role of this account has no fields any more."
TOO_MANY = f"Ensure this field has no more than {MAX_VALUES} values, {MAX_DEPTH} levels deep."
TOO_LARGE = "Ensure this number has no more than 64 bits."
TOO_SMALL = f"Ensure this number is 0, or at least {MIN_NUMBER} away from it."


class RoleFields(fields.Dict):
    """The fields of a role as they come: trimmed, and bounded before any schema sees them."""

    default_error_messages = {"required": REQUIRED, "null": NULL}

    def __init__(self, roles: Roles, *, whole: bool = False, **says: Any) -> None:
        super().__init__(**says)
        self.roles = roles
        self.whole = whole  # whether what comes is all there is, which is for the document alone

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError({"non_field_errors": [no_object(value)]})
        faults: dict[Place, list[str]] = {}
        cleaned = _Cleaning(faults).clean(value, ())
        if faults:
            raise ValidationError(nested(faults))
        return cleaned


def change(roles: Roles, row: Mapping[str, Any], given: dict[str, Any], *, merge: bool) -> dict[str, Any]:
    """The fields of the profile `row` after `given`, which replaces them, or is merged into them: null removes a key.

    Raises FieldErrors under `fields`. What equals what is stored is no change, and is never refused to an account
    whose role has no schema.
    """
    role, stored = roles.get(row["role"]), orjson.loads(row["fields"] or "{}")
    wanted = given
    if merge:
        kept = stored | given
        wanted = {name: value for name, value in kept.items() if value is not None or name not in given}
    if role is None:
        if wanted == stored:
            return stored  # type: ignore[no-any-return]
        raise FieldErrors({"fields": [ROLE_IS_GONE if row["role"] else NO_ROLE]})
    wanted = known(role, wanted)
    found = faults(role, wanted)
    if found:
        raise FieldErrors({"fields": found})
    return wanted


def known(role: Role, given: dict[str, Any]) -> dict[str, Any]:
    """`given` without the fields that nobody asked for, unless the role's schema says itself what becomes of those."""
    if {"additionalProperties", "unevaluatedProperties"} & role.fields.keys():
        return given
    return {name: value for name, value in given.items() if name in role.fields.get("properties", {})}


class _Cleaning:
    """One walk through what came: trims texts, counts, and notes what no schema can allow."""

    def __init__(self, faults: dict[Place, list[str]]) -> None:
        self._faults = faults
        self._values = 0

    def clean(self, value: Any, place: Place) -> Any:
        self._values += 1
        if self._values > MAX_VALUES or len(place) > MAX_DEPTH:
            self._faults[()] = [TOO_MANY]
            return None
        if isinstance(value, str):
            return self._text(value.strip(), place)
        if isinstance(value, dict):
            # A name that cannot be stands in no answer either: the fault is the object's.
            return {
                self._text(name, place): self.clean(each, (*place, name.encode(errors="replace").decode()))
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.clean(each, (*place, str(number))) for number, each in enumerate(value)]
        return self._number(value, place)

    def _text(self, text: str, place: Place) -> str:
        try:
            no_odd_characters(text)
        except ValidationError as failure:
            texts = self._faults.setdefault(place, [])
            texts += [each for each in cast("list[str]", failure.messages) if each not in texts]
        return text

    def _number(self, value: Any, place: Place) -> Any:
        if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            self._faults.setdefault(place, []).append(TOO_LARGE)
        elif isinstance(value, float) and 0 < abs(value) < MIN_NUMBER:
            self._faults.setdefault(place, []).append(TOO_SMALL)
        elif isinstance(value, float) and value.is_integer():
            return int(value)  # JSON Schema, and whoever compares, makes no difference between 1 and 1.0
        return value
