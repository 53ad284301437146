"""Bodies whose shape the settings decide: functions of the settings, for `reads` of an endpoint."""

import functools
from collections.abc import Callable

from marshmallow import Schema

from server.settings.settings import Settings
from server.web.schemas import by_roles
from server.web.schemas.fields import Body, Email, Flag, Login, Password
from server.web.schemas.objects import (
    CurrentPassword,
    Registration,
    ResetPassword,
    ResetUsername,
    SetPassword,
    SetUsername,
    SignIn,
    UserEdit,
    UserEditByStaff,
)

EXAMPLE = {"example": "anna@example.com"}


class RegistrationByEmail(Registration):
    """A new account, which signs in by its address."""

    email = Email(required=True, lower_domain=True, metadata=EXAMPLE)


class SignInByEmail(Body):
    """An e-mail address and the password of its account."""

    email = Login(required=True, metadata=EXAMPLE)
    password = Password(required=True, metadata={"example": "correct horse battery"})


class UserEditWithoutEmail(Body):
    """Nothing: what an account signs in with is changed elsewhere."""


class UserEditByStaffWithoutEmail(Body):
    """What staff may change; from anybody else `is_active` changes nothing."""

    is_active = Flag(metadata={"description": "Staff only. False ends every session of the account at once."})


class SetEmail(CurrentPassword):
    """A new address to sign in with, and the password."""

    new_email = Email(required=True, metadata=EXAMPLE)


class ResetEmail(ResetUsername):
    """A new address to sign in with, and what a username reset letter's link carries."""

    class Meta(Body.Meta):
        exclude = ("new_username",)

    new_email = Email(required=True, metadata=EXAMPLE)


def registration(settings: Settings) -> type[Schema]:
    """USER_CREATE_PASSWORD_RETYPE asks for the password twice, LOGIN_FIELD=email for an address."""
    schema: type[Body] = RegistrationByEmail if settings.login_field == "email" else Registration
    if settings.user_create_password_retype:
        schema = _twice(schema, "password")
    return by_roles.registration(settings, schema)


def sign_in(settings: Settings) -> type[Schema]:
    """LOGIN_FIELD=email signs in by `email`; `either` keeps the name `username` (contract 12)."""
    return by_roles.sign_in(settings, SignInByEmail if settings.login_field == "email" else SignIn)


def token_login(settings: Settings) -> type[Schema]:
    """As `sign_in`, but what is absent is no fault of a field (contract 2)."""
    return _derived(
        Body, "TokenLogin", {login(settings): Login(), "password": Password()}, "What token login is asked with."
    )


def user_edit(settings: Settings) -> type[Schema]:
    """LOGIN_FIELD=email makes the address read-only here (contract 7.1)."""
    return UserEditWithoutEmail if settings.login_field == "email" else UserEdit


def user_edit_by_staff(settings: Settings) -> type[Schema]:
    """What staff may change beside it."""
    schema = UserEditByStaffWithoutEmail if settings.login_field == "email" else UserEditByStaff
    return by_roles.user_edit_by_staff(settings, schema)


def set_password(settings: Settings) -> type[Schema]:
    """SET_PASSWORD_RETYPE asks for the new password twice."""
    return _twice(SetPassword, "new_password") if settings.set_password_retype else SetPassword


def reset_password(settings: Settings) -> type[Schema]:
    """PASSWORD_RESET_CONFIRM_RETYPE asks for the new password twice."""
    return _twice(ResetPassword, "new_password") if settings.password_reset_confirm_retype else ResetPassword


def set_username(settings: Settings) -> type[Schema]:
    """SET_USERNAME_RETYPE asks for the new name twice; LOGIN_FIELD=email puts `new_email` in its place."""
    schema = SetEmail if settings.login_field == "email" else SetUsername
    return _twice(schema, new_login(settings)) if settings.set_username_retype else schema


def reset_username(settings: Settings) -> type[Schema]:
    """USERNAME_RESET_CONFIRM_RETYPE asks for the new name twice; LOGIN_FIELD=email puts `new_email` in its place."""
    schema = ResetEmail if settings.login_field == "email" else ResetUsername
    return _twice(schema, new_login(settings)) if settings.username_reset_confirm_retype else schema


def password_page(settings: Settings) -> type[Schema]:
    """The page asks for the password twice, whatever the switch says: who types it does not see it."""
    return _without_link(_twice(ResetPassword, "new_password"))


def username_page(settings: Settings) -> type[Schema]:
    """The page asks for what the endpoint does."""
    return _without_link(reset_username(settings))


def login(settings: Settings) -> str:
    """The name of the field with what an account signs in with."""
    return "email" if settings.login_field == "email" else "username"


def new_login(settings: Settings) -> str:
    """The name of the field with what an account will sign in with."""
    return "new_email" if settings.login_field == "email" else "new_username"


@functools.cache
def _twice(schema: type[Body], field: str) -> type[Body]:
    kind: Callable[..., object] = type(schema().fields[field])
    again = kind(required=True, metadata=schema().fields[field].metadata)
    return _derived(schema, f"{schema.__name__}Twice", {f"re_{field}": again}, schema.__doc__)


@functools.cache
def _without_link(schema: type[Schema]) -> type[Schema]:
    """The schema of a page, whose path carries the uid and the token."""
    meta = type("Meta", (Body.Meta,), {"exclude": (*schema.opts.exclude, "uid", "token")})
    return type(f"{schema.__name__}Page", (schema,), {"__doc__": schema.__doc__, "Meta": meta})


def _derived(schema: type[Body], name: str, fields: dict[str, object], says: str | None) -> type[Body]:
    return type(name, (schema,), {"__doc__": says, **fields})
