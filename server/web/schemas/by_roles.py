"""Schemas that roles change: functions that choose a schema, for `body=` and `response=` of an endpoint.

Without ROLES_FILE each returns the contract's object. With it the object keeps its name and has more fields.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from server.settings.roles import Roles
from server.settings.settings import Settings
from server.web.schemas.fields import Body, NestedObject, Text
from server.web.schemas.objects import Profile, ProfileEdit, Registration, SignIn, User, UserEditByStaff
from server.web.schemas.role_faults import faults
from server.web.schemas.role_fields import NO_ROLE, RoleFields, known

NOT_A_CHOICE = "Not a valid choice."

Step = Schema.from_dict(
    {
        "title": fields.String(required=True, metadata={"example": "Your school"}),
        "fields": fields.List(fields.String(), required=True, metadata={"example": ["school"]}),
    },
    name="RoleStep",
)
Role = Schema.from_dict(
    {
        "name": fields.String(required=True, metadata={"example": "teacher"}),
        "title": fields.String(required=True, metadata={"example": "Teacher"}),
        "registration": fields.Boolean(
            required=True, metadata={"description": "Whether a registration may choose it."}
        ),
        "fields": fields.Dict(
            required=True, metadata={"description": "The JSON Schema (Draft 2020-12) of the fields of its accounts."}
        ),
        "steps": fields.List(
            fields.Nested(Step),
            required=True,
            metadata={"description": "Groups of its fields, for a form in several steps; empty without steps."},
        ),
    },
    name="Role",
)


class ProfileEditPartly(ProfileEdit):
    """An edit of a profile by PATCH."""

    component = "ProfileUpdate"


def user(settings: Settings) -> type[Schema]:
    """The user object, with `role`."""
    return _with(settings.roles, User, _role_in_response) if settings.roles else User


def profile(settings: Settings) -> type[Schema]:
    """The profile object, with `role` and `fields`."""
    return _with(settings.roles, Profile, _fields_in_response) if settings.roles else Profile


def profile_edit(settings: Settings) -> type[Schema]:
    """An edit of a profile, with all `fields` of the role."""
    return _with(settings.roles, ProfileEdit, _all_fields) if settings.roles else ProfileEdit


def profile_edit_partly(settings: Settings) -> type[Schema]:
    """An edit of a profile, with those `fields` of the role that change."""
    return _with(settings.roles, ProfileEditPartly, _changed_fields) if settings.roles else ProfileEditPartly


def registration(settings: Settings, schema: type[Schema] = Registration) -> type[Schema]:
    """A registration, with `role`, and with `fields` in `profile`."""
    return _with(settings.roles, schema, _role_at_registration, _FitsRole) if settings.roles else schema


def sign_in(settings: Settings, schema: type[Schema] = SignIn) -> type[Schema]:
    """A sign-in, with the `role` that the account must have."""
    return _with(settings.roles, schema, _role_at_sign_in) if settings.roles else schema


def user_edit_by_staff(settings: Settings, schema: type[Schema] = UserEditByStaff) -> type[Schema]:
    """An edit of an account with what staff may change, with `role`."""
    return _with(settings.roles, schema, _role_by_staff) if settings.roles else schema


@functools.cache
def _with(
    roles: Roles, schema: type[Schema], more: Callable[[Roles], dict[str, Any]], *before: type[Schema]
) -> type[Schema]:
    """`schema` with `more` fields, under the same name; the same arguments give the same class."""
    return type(schema.__name__, (*before, schema), {"__doc__": schema.__doc__, "roles": roles, **more(roles)})


def _role_in_response(roles: Roles) -> dict[str, Any]:
    return {"role": fields.String(required=True, allow_none=True, metadata={"example": next(iter(roles)).name})}


def _fields_in_response(roles: Roles) -> dict[str, Any]:
    description = "The fields of the role. Empty without a role."
    return _role_in_response(roles) | {"fields": fields.Dict(required=True, metadata={"description": description})}


def _all_fields(roles: Roles) -> dict[str, Any]:
    description = "The fields of your role, all of them; in forms as JSON text. If absent, they stay as they are."
    return {"fields": RoleFields(roles, whole=True, metadata={"description": description})}


def _changed_fields(roles: Roles) -> dict[str, Any]:
    description = "The fields of your role that change; in forms as JSON text. Null removes a field."
    return {"fields": RoleFields(roles, metadata={"description": description})}


def _role_at_registration(roles: Roles) -> dict[str, Any]:
    edit = _with(roles, ProfileEdit, _all_fields)
    description = "It decides which `fields` the profile has. Without a role it has none."
    return {
        "role": _one_of(roles.open_to_all(), description),
        "profile": NestedObject(edit, metadata={"description": "The first fields of the profile."}),
    }


def _role_by_staff(roles: Roles) -> dict[str, Any]:
    description = "Staff only. In force from the next request; the fields of the former role are kept."
    return {"role": _one_of([role.name for role in roles], description)}


def _role_at_sign_in(roles: Roles) -> dict[str, Any]:
    description = "Signs in only an account of this role."
    return {"role": Text(allow_none=True, metadata={"description": description, "example": None})}


def _one_of(names: list[str], description: str) -> Text:
    choice = validate.OneOf(names, error=NOT_A_CHOICE)
    return Text(allow_none=True, validate=[choice], metadata={"description": description, "example": None})


class _FitsRole(Body):
    """Checks that the fields of a new account's profile fit its role, required ones included."""

    roles: Roles

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _fits(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> None:
        if "role" in original and "role" not in data:
            return  # the role has a fault, so that its fields are unknown
        given = original.get("profile", {})
        if not isinstance(given, Mapping) or ("fields" in given and "fields" not in data.get("profile", {})):
            return  # the fields have faults already
        role, written = self.roles.get(data.get("role")), data.get("profile", {}).get("fields", {})
        found: Any = faults(role, known(role, written)) if role else [NO_ROLE] if written else []
        if found:
            raise ValidationError({"profile": {"fields": found}})
