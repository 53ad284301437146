"""What the objects that travel look like on a site with roles: functions of the settings, for `reads` and `answers`.

Without ROLES_FILE each gives the contract's own object. With it the object keeps its name and has more fields.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from server.settings.roles import Roles
from server.settings.settings import Settings
from server.web.schemas.fields import Body, Part, Text
from server.web.schemas.objects import Profile, ProfileEdit, Registration, SignIn, User, UserEditByStaff
from server.web.schemas.role_faults import faults
from server.web.schemas.role_fields import NO_ROLE, RoleFields, known

NO_CHOICE = "Not a valid choice."

Step = Schema.from_dict(
    {
        "title": fields.String(required=True, metadata={"example": "Your school"}),
        "fields": fields.List(fields.String(), required=True, metadata={"example": ["school"]}),
    },
    name="Step",
)
Role = Schema.from_dict(
    {
        "name": fields.String(required=True, metadata={"example": "teacher"}),
        "title": fields.String(required=True, metadata={"example": "Teacher"}),
        "registration": fields.Boolean(
            required=True, metadata={"description": "Whether people may take it themselves when they register."}
        ),
        "fields": fields.Dict(
            required=True, metadata={"description": "The JSON Schema (Draft 2020-12) of the fields of its accounts."}
        ),
        "steps": fields.List(
            fields.Nested(Step), required=True, metadata={"description": "Its fields a few at a time, or empty."}
        ),
    },
    name="Role",
)


class ProfileEditPartly(ProfileEdit):
    """What PATCH changes of a profile."""


def user(settings: Settings) -> type[Schema]:
    """The user object, with `role`."""
    return _with(settings.roles, User, _shown_role) if settings.roles else User


def profile(settings: Settings) -> type[Schema]:
    """The profile object, with `role` and `fields`."""
    return _with(settings.roles, Profile, _shown_fields) if settings.roles else Profile


def profile_edit(settings: Settings) -> type[Schema]:
    """What a profile's owner may change, with `fields` as a whole."""
    return _with(settings.roles, ProfileEdit, _whole_fields) if settings.roles else ProfileEdit


def profile_edit_partly(settings: Settings) -> type[Schema]:
    """What a profile's owner may change, with `fields` one by one."""
    return _with(settings.roles, ProfileEditPartly, _some_fields) if settings.roles else ProfileEdit


def registration(settings: Settings, schema: type[Schema] = Registration) -> type[Schema]:
    """A new account, with `role` and, in `profile`, `fields`."""
    return _with(settings.roles, schema, _taken_role, _FitsRole) if settings.roles else schema


def sign_in(settings: Settings, schema: type[Schema] = SignIn) -> type[Schema]:
    """What signs in, with the `role` that the account must have."""
    return _with(settings.roles, schema, _wanted_role) if settings.roles else schema


def user_edit_by_staff(settings: Settings, schema: type[Schema] = UserEditByStaff) -> type[Schema]:
    """What staff may change, with `role`."""
    return _with(settings.roles, schema, _given_role) if settings.roles else schema


@functools.cache
def _with(
    roles: Roles, schema: type[Schema], more: Callable[[Roles], dict[str, Any]], *before: type[Schema]
) -> type[Schema]:
    """`schema` with `more` fields under its own name; the same class for the same roles, whoever asks."""
    return type(schema.__name__, (*before, schema), {"__doc__": schema.__doc__, "roles": roles, **more(roles)})


def _shown_role(roles: Roles) -> dict[str, Any]:
    return {"role": fields.String(required=True, allow_none=True, metadata={"example": next(iter(roles)).name})}


def _shown_fields(roles: Roles) -> dict[str, Any]:
    says = "The fields of the role: components `fields.NAME`. Empty without a role."
    return _shown_role(roles) | {"fields": fields.Dict(required=True, metadata={"description": says})}


def _whole_fields(roles: Roles) -> dict[str, Any]:
    says = "The fields of your role, all of them; in forms as JSON text. Absent: they stay."
    return {"fields": RoleFields(roles, whole=True, metadata={"description": says})}


def _some_fields(roles: Roles) -> dict[str, Any]:
    says = "Fields of your role that change; in forms as JSON text. Null removes a field, the others stay."
    return {"fields": RoleFields(roles, metadata={"description": says})}


def _taken_role(roles: Roles) -> dict[str, Any]:
    edit = _with(roles, ProfileEdit, _whole_fields)
    says = "Decides which `fields` the profile has. Without one there are none."
    return {
        "role": _one_of(roles.open_to_all(), says),
        "profile": Part(edit, metadata={"description": "What the profile begins with."}),
    }


def _given_role(roles: Roles) -> dict[str, Any]:
    says = "Staff only. Holds from the next request; the fields of the role before are kept for the way back."
    return {"role": _one_of([role.name for role in roles], says)}


def _wanted_role(roles: Roles) -> dict[str, Any]:
    says = "Signs in only an account of this role."
    return {"role": Text(allow_none=True, metadata={"description": says, "example": None})}


def _one_of(names: list[str], says: str) -> Text:
    choice = validate.OneOf(names, error=NO_CHOICE)
    return Text(allow_none=True, validate=[choice], metadata={"description": says, "example": None})


class _FitsRole(Body):
    """The fields of a new account's profile fit its role, and those that must be there are."""

    roles: Roles

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _fits(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> None:
        if "role" in original and "role" not in data:
            return  # which fields there are is not known
        given = original.get("profile", {})
        if not isinstance(given, Mapping) or ("fields" in given and "fields" not in data.get("profile", {})):
            return  # they have faults already
        role, written = self.roles.get(data.get("role")), data.get("profile", {}).get("fields", {})
        found: Any = faults(role, known(role, written)) if role else [NO_ROLE] if written else []
        if found:
            raise ValidationError({"profile": {"fields": found}})
