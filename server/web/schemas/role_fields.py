"""The fields of a role in requests: bounded first, then validated by the JSON Schema of the role.

docs/decisions/roles.md
"""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from marshmallow import ValidationError, fields

from server.errors import FieldErrors
from server.settings.roles import Role, Roles
from server.web.schemas.fields import NULL, REQUIRED, not_an_object, only_storable_characters
from server.web.schemas.role_faults import Place, faults, nested, unnested

ROLE_FIELDS_MAX_VALUES = 1000
ROLE_FIELDS_MAX_DEPTH = 16
ROLE_FIELDS_MAX_NUMBER = 2**63 - 1
ROLE_FIELDS_MIN_NUMBER = 1e-15  # except 0: PostgreSQL writes out every digit, of 1e300 and of 1e-300 three hundred

NO_ROLE = "Without a role there are no fields."
ROLE_IS_GONE = "The role of this account has no fields any more."
TOO_MANY_VALUES = (
    f"Ensure this field has no more than {ROLE_FIELDS_MAX_VALUES} values, {ROLE_FIELDS_MAX_DEPTH} levels deep."
)
NUMBER_TOO_LARGE = "Ensure this number has no more than 64 bits."
NUMBER_TOO_SMALL = f"Ensure this number is 0, or at least {ROLE_FIELDS_MIN_NUMBER} away from it."


class RoleFields(fields.Dict):
    """The fields of a role in a request: trimmed, and bounded before their schema is applied."""

    default_error_messages = {"required": REQUIRED, "null": NULL}

    def __init__(self, roles: Roles, *, whole: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.roles = roles
        self.whole = whole  # all fields are sent, not only changes; read by the OpenAPI document alone

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise ValidationError({"non_field_errors": [not_an_object(value)]})
        return clean(value)


def clean(value: Any) -> Any:
    """A value from a request with its texts trimmed. Raises ValidationError when it is too large for any schema."""
    faults: dict[Place, list[str]] = {}
    cleaned = _Cleaning(faults).clean(value, ())
    if faults:
        nested_faults = nested(faults)
        raise ValidationError(nested_faults if isinstance(value, dict) else unnested(nested_faults))
    return cleaned


def change(roles: Roles, row: Mapping[str, Any], given: dict[str, Any], *, merge: bool) -> dict[str, Any]:
    """The fields of the profile `row` after an edit: `given` replaces them, or with `merge` is merged into them.

    In a merge null removes a field. An account whose role has no schema may send back what is stored, and nothing else.
    Raises FieldErrors under `fields`.
    """
    role, stored = roles.get(row["role"]), orjson.loads(row["fields"] or "{}")
    wanted = given
    if merge:
        merged = stored | given
        wanted = {name: value for name, value in merged.items() if value is not None or name not in given}
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
    """`given` without unknown fields; unchanged if the schema of the role itself has a rule for unknown fields."""
    if {"additionalProperties", "unevaluatedProperties"} & role.fields.keys():
        return given
    return {name: value for name, value in given.items() if name in role.fields.get("properties", {})}


class _Cleaning:
    """One walk through the fields: trims texts, counts values, and collects what no schema may allow."""

    def __init__(self, faults: dict[Place, list[str]]) -> None:
        self._faults = faults
        self._values = 0

    def clean(self, value: Any, place: Place) -> Any:
        self._values += 1
        if self._values > ROLE_FIELDS_MAX_VALUES or len(place) > ROLE_FIELDS_MAX_DEPTH:
            self._faults[()] = [TOO_MANY_VALUES]
            return None
        if isinstance(value, str):
            return self._text(value.strip(), place)
        if isinstance(value, dict):
            # A name that cannot be stored cannot be sent back either, so its fault is reported at the object.
            return {
                self._text(name, place): self.clean(each, (*place, name.encode(errors="replace").decode()))
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.clean(each, (*place, str(number))) for number, each in enumerate(value)]
        return self._number(value, place)

    def _text(self, text: str, place: Place) -> str:
        try:
            only_storable_characters(text)
        except ValidationError as failure:
            texts = self._faults.setdefault(place, [])
            texts += [each for each in cast("list[str]", failure.messages) if each not in texts]
        return text

    def _number(self, value: Any, place: Place) -> Any:
        if isinstance(value, int | float) and not -ROLE_FIELDS_MAX_NUMBER <= value <= ROLE_FIELDS_MAX_NUMBER:
            self._faults.setdefault(place, []).append(NUMBER_TOO_LARGE)
        elif isinstance(value, float) and 0 < abs(value) < ROLE_FIELDS_MIN_NUMBER:
            self._faults.setdefault(place, []).append(NUMBER_TOO_SMALL)
        elif isinstance(value, float) and value.is_integer():
            return int(value)  # JSON Schema treats 1 and 1.0 alike
        return value
