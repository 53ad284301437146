"""Request bodies that settings change: functions that choose a schema, for `body=` of an endpoint."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from marshmallow import Schema, ValidationError, fields, validates_schema

from server.settings.settings import Settings
from server.web.schemas import account_fields, by_roles
from server.web.schemas.fields import REQUIRED, Again, Body, Email, Login, OptionalUsername, Password, Username
from server.web.schemas.objects import (
    AccessToken,
    AccountState,
    CurrentPassword,
    Registration,
    ResetPassword,
    ResetUsername,
    RotatedTokens,
    SetPassword,
    SetUsername,
    SignIn,
    UserEdit,
    UserEditByStaff,
)

Made = TypeVar("Made", bound=Schema)

ADDRESS_EXAMPLE = {"example": "anna@example.com"}


class RegistrationByEmail(Registration):
    """A new account that signs in by its address."""

    email = Email(required=True, lower_domain=True, metadata=ADDRESS_EXAMPLE)


class SignInByEmail(Body):
    """An e-mail address and the password of its account."""

    component = "Credentials"

    email = Login(required=True, metadata=ADDRESS_EXAMPLE)
    password = Password(required=True, metadata={"example": "correct horse battery"})


class UserEditByName(Body):
    """An edit of an account whose address is its login field: another endpoint changes that, this one the username."""

    component = "UserInput"

    username = Username(metadata={"example": "anna.k"})


class UserEditByNameByStaff(UserEditByName, UserEditByStaff):
    """The same edit with what staff may change; from other callers `is_active` is ignored."""

    component = "UserUpdate"

    class Meta(Body.Meta):
        exclude = ("email",)


class SetEmail(CurrentPassword):
    """A new address to sign in with, and the current password."""

    component = "EmailChange"

    new_email = Email(required=True, metadata=ADDRESS_EXAMPLE)


class ResetEmail(ResetUsername):
    """A new address to sign in with, and the uid and token of an address reset link."""

    component = "EmailReset"

    class Meta(Body.Meta):
        exclude = ("new_username",)

    new_email = Email(required=True, metadata=ADDRESS_EXAMPLE)


class _HasLogin(Body):
    """Checks that an account without a username has an address: it must sign in with one of the two."""

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _has_login(self, data: dict[str, Any], original: Mapping[str, Any], **kwargs: Any) -> None:
        has_fault = any(original.get(name) and not data.get(name) for name in ("username", "email"))
        if not has_fault and not data.get("username") and not data.get("email"):
            raise ValidationError(REQUIRED, "email")


def registration(settings: Settings) -> type[Schema]:
    """USER_CREATE_PASSWORD_RETYPE adds the password a second time; LOGIN_FIELD=email requires an address.

    The site file decides whether there is a username, and adds account fields (contract 11.27, 11.28).
    """
    schema = _registration(settings)
    if settings.user_create_password_retype:
        schema = _twice(schema, "password")
    return account_fields.at_registration(settings.account, by_roles.registration(settings, schema))


def admin(settings: Settings) -> type[Schema]:
    """The account that `create-admin` makes: a registration with the fields that only staff writes, and no retyping."""
    return account_fields.at_registration(settings.account, _registration(settings), by_staff=True)


def _registration(settings: Settings) -> type[Body]:
    schema: type[Body] = RegistrationByEmail if settings.login_field == "email" else Registration
    if settings.account.username == "none":
        return _without(schema, "username")
    if settings.account.username == "optional":
        members: dict[str, object] = {"username": OptionalUsername(load_default=None)}
        before = () if settings.login_field == "email" else (_HasLogin,)  # there the address is required anyway
        return type(schema.__name__, (*before, schema), {"__doc__": schema.__doc__, **members})
    return schema


def user(settings: Settings) -> type[Schema]:
    """The user object, with what the site file adds to it."""
    schema = by_roles.user(settings)
    if settings.account.username == "none":
        schema = _without(schema, "username")
    elif settings.account.username == "optional":
        schema = _with_username(schema, fields.String, required=True, allow_none=True)
    return account_fields.in_response(schema, settings.account.fields)


def user_seen_by_staff(settings: Settings) -> type[Schema]:
    """The user object with the state of the account, which only staff see (contract 2.3)."""
    return _with_state(user(settings))


def profile(settings: Settings) -> type[Schema]:
    """The profile object, with the account fields that every signed-in caller may see."""
    schema, account = by_roles.profile(settings), settings.account
    if account.shown_as != "username" or account.username != "required":
        schema = _with_owner(schema, account.shown_as)
    return account_fields.in_response(schema, account.public_fields)


def sign_in(settings: Settings) -> type[Schema]:
    """LOGIN_FIELD=email signs in by `email`; `either` keeps the name `username` (contract 12)."""
    return by_roles.sign_in(settings, SignInByEmail if settings.login_field == "email" else SignIn)


def refreshed(settings: Settings) -> type[Schema]:
    """REFRESH_ROTATION adds the next refresh token."""
    return RotatedTokens if settings.refresh_rotation else AccessToken


def token_login(settings: Settings) -> type[Schema]:
    """The fields of `sign_in`, none of them required (contract 2)."""
    members: dict[str, object] = {
        "component": "ApiTokenCredentials",
        login(settings): Login(),
        "password": Password(),
    }
    return _derived(Body, "TokenLogin", members, "A login and a password for token login.")


def user_edit(settings: Settings) -> type[Schema]:
    """LOGIN_FIELD=email makes the address read-only here (contract 7.1). Required account fields must be there."""
    return account_fields.in_edit(settings.account, _edit(settings, by_staff=False), by_staff=False, partial=False)


def user_edit_whole_by_staff(settings: Settings) -> type[Schema]:
    """The fields of `user_edit`, and the account fields that only staff may change; those may be absent."""
    return account_fields.in_edit(settings.account, _edit(settings, by_staff=False), by_staff=True, partial=False)


def user_edit_partly(settings: Settings) -> type[Schema]:
    """The fields of `user_edit`, none of them required."""
    return account_fields.in_edit(settings.account, _edit(settings, by_staff=False), by_staff=False, partial=True)


def user_edit_by_staff(settings: Settings) -> type[Schema]:
    """The fields of `user_edit_partly`, and those that only staff may change."""
    edit = by_roles.user_edit_by_staff(settings, _edit(settings, by_staff=True))
    return account_fields.in_edit(settings.account, edit, by_staff=True, partial=True)


def _edit(settings: Settings, *, by_staff: bool) -> type[Body]:
    """What changes here is what is not the login field (contract 11.29)."""
    if settings.login_field != "email":
        return UserEditByStaff if by_staff else UserEdit
    schema: type[Body] = UserEditByNameByStaff if by_staff else UserEditByName
    match settings.account.username:
        case "none":
            return _without(schema, "username")
        case "optional":
            return _with_username(schema, OptionalUsername)
        case _:
            return schema


def set_password(settings: Settings) -> type[Schema]:
    """SET_PASSWORD_RETYPE adds the new password a second time."""
    return _twice(SetPassword, "new_password") if settings.set_password_retype else SetPassword


def reset_password(settings: Settings) -> type[Schema]:
    """PASSWORD_RESET_CONFIRM_RETYPE adds the new password a second time."""
    return _twice(ResetPassword, "new_password") if settings.password_reset_confirm_retype else ResetPassword


def set_username(settings: Settings) -> type[Schema]:
    """SET_USERNAME_RETYPE adds the new username a second time."""
    return _twice(SetUsername, "new_username") if settings.set_username_retype else SetUsername


def set_email(settings: Settings) -> type[Schema]:
    """SET_USERNAME_RETYPE adds the new address a second time."""
    return _twice(SetEmail, "new_email") if settings.set_username_retype else SetEmail


def reset_username(settings: Settings) -> type[Schema]:
    """USERNAME_RESET_CONFIRM_RETYPE adds the new username a second time."""
    return _twice(ResetUsername, "new_username") if settings.username_reset_confirm_retype else ResetUsername


def reset_email(settings: Settings) -> type[Schema]:
    """USERNAME_RESET_CONFIRM_RETYPE adds the new address a second time."""
    return _twice(ResetEmail, "new_email") if settings.username_reset_confirm_retype else ResetEmail


def password_page(settings: Settings) -> type[Schema]:
    """The form of the page has the password twice with any settings, because its text is not visible."""
    return _without_link(_twice(ResetPassword, "new_password"))


def username_page(settings: Settings) -> type[Schema]:
    """The form of the page has the fields of the endpoint's body."""
    return _without_link(reset_username(settings))


def email_page(settings: Settings) -> type[Schema]:
    """The form of the page has the fields of the endpoint's body."""
    return _without_link(reset_email(settings))


def login(settings: Settings) -> str:
    """The name of the field with the username or address to sign in with."""
    return "email" if settings.login_field == "email" else "username"


@functools.cache
def _without(schema: type[Made], *names: str) -> type[Made]:
    """`schema` without some of its fields, under the same name."""
    meta = type("Meta", (schema.Meta,), {"exclude": (*schema.opts.exclude, *names)})
    return type(schema.__name__, (schema,), {"__doc__": schema.__doc__, "Meta": meta})


@functools.cache
def _with_state(schema: type[Schema]) -> type[Schema]:
    members = {"component": "UserDetails", "__doc__": "An account; staff also see its state."}
    return type("UserSeenByStaff", (schema, AccountState), members)


@functools.cache  # one class for all endpoints: the document names each class once
def _with_username(schema: type[Made], kind: Callable[..., object], **options: Any) -> type[Made]:
    """`schema` with another kind of username, under the same name."""
    return _derived(schema, schema.__name__, {"username": kind(**options)}, schema.__doc__)


@functools.cache
def _with_owner(schema: type[Made], shown_as: str) -> type[Made]:
    """The profile object whose `user` is what the site names; an empty text when the account has none."""
    shown = fields.String(required=True, metadata={"description": f"The owner's name: `{shown_as}` of the account."})
    return _derived(schema, schema.__name__, {"user": shown}, schema.__doc__)


@functools.cache
def _twice(schema: type[Body], field: str) -> type[Body]:
    """`schema` with `re_FIELD`: text of the same kind, whose only other fault is that it differs (contract 12)."""
    first = schema().fields[field]
    kind: Callable[..., object] = Password if isinstance(first, Password) else Again
    again = kind(required=True, metadata=first.metadata)
    return _derived(schema, f"{schema.__name__}Twice", {f"re_{field}": again}, schema.__doc__)


@functools.cache
def _without_link(schema: type[Schema]) -> type[Schema]:
    """`schema` without uid and token: the path of a page has them."""
    meta = type("Meta", (Body.Meta,), {"exclude": (*schema.opts.exclude, "uid", "token")})
    return type(f"{schema.__name__}Page", (schema,), {"__doc__": schema.__doc__, "Meta": meta})


def _derived(schema: type[Made], name: str, members: dict[str, object], doc: str | None) -> type[Made]:
    return type(name, (schema,), {"__doc__": doc, **members})
