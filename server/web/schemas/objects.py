"""The schemas that no setting changes: request bodies (`Body`), and responses.

Response schemas describe: the OpenAPI document shows them, and a test compares them with what is sent. `component` is
the name of a schema in the document, if not that of its class: subclasses keep it, so that no setting changes it.
"""

import re
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from server.auth.password_rules import password_faults
from server.settings.account_model import AccountModel
from server.web.schemas.fields import (
    DESCRIPTION_MAX_BYTES,
    EMAIL_MAX_LENGTH,
    LOCATION_MAX_LENGTH,
    Body,
    Email,
    Flag,
    Login,
    NestedObject,
    Password,
    Text,
    Username,
    max_bytes,
    max_length,
)

_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9._-]+")
TIME_EXAMPLE = "2026-11-23T15:12:37.495408Z"


class ProfileEdit(Body):
    """An edit of a profile by its owner. Absent fields stay as they are."""

    component = "ProfileInput"

    description = Text(
        blank=True,
        allow_none=True,
        validate=[max_bytes(DESCRIPTION_MAX_BYTES)],
        # A text of more characters has more bytes; the document has no keyword for bytes.
        metadata={"example": "I run the film club.", "maxLength": DESCRIPTION_MAX_BYTES},
    )
    location = Text(blank=True, validate=[max_length(LOCATION_MAX_LENGTH)], metadata={"example": "Lisbon"})
    is_creator = Flag(metadata={"description": "Whether this person organises events.", "example": True})


class Registration(Body):
    """A new account."""

    component = "Registration"

    username = Username(required=True, metadata={"example": "anna"})
    password = Password(required=True, metadata={"example": "correct horse battery"})
    email = Email(blank=True, lower_domain=True, metadata={"example": "anna@example.com"})
    profile = NestedObject(ProfileEdit, metadata={"description": "The first fields of the profile."})

    _account = AccountModel()  # the name of a declared field begins with a letter

    @validates_schema
    def _is_strong(self, data: dict[str, Any], **kwargs: Any) -> None:
        # marshmallow runs this only when no field has a fault, as contract 5 wants it.
        faults = password_faults(
            data["password"],
            username=data.get("username"),
            email=data.get("email", ""),
            texts=self._account.texts(data),
        )
        if faults:
            raise ValidationError(faults, "password")

    @post_load
    def _without_address(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"email": ""} | data


class UserEdit(Body):
    """An edit of an account by its owner."""

    component = "UserInput"

    email = Email(blank=True, metadata={"example": "anna@example.com"})


class UserEditByStaff(UserEdit):
    """An edit of an account, with what staff may change; from other callers `is_active` is ignored."""

    component = "UserUpdate"

    is_active = Flag(metadata={"description": "Staff only. False ends every session of the account at once."})


class CurrentPassword(Body):
    """The caller's own password."""

    current_password = Password(required=True, metadata={"example": "correct horse battery"})


class Activation(Body):
    """The uid and token of an activation link."""

    component = "ActivationLink"

    uid = Text(required=True, metadata={"example": "NDI"})
    token = Text(required=True, metadata={"description": "Works once."})


class Address(Body):
    """The address that requests a letter."""

    component = "EmailAddress"

    email = Email(required=True, metadata={"example": "anna@example.com"})


class SetPassword(CurrentPassword):
    """A new password, and the current one."""

    component = "PasswordChange"

    new_password = Password(required=True, metadata={"example": "staple gun theory"})


class ResetPassword(Activation):
    """A new password, and the uid and token of a password reset link."""

    component = "PasswordReset"

    new_password = Password(required=True, metadata={"example": "staple gun theory"})


class SetUsername(CurrentPassword):
    """A new username, and the current password."""

    component = "UsernameChange"

    new_username = Username(required=True, metadata={"example": "anna.k"})


class ResetUsername(Body):
    """A new username, and the uid and token of a username reset link."""

    component = "UsernameReset"

    new_username = Username(required=True, metadata={"example": "anna.k"})
    # Not required: an absent uid or token is reported as an invalid link (contract 2).
    uid = Text(blank=True, load_default="", metadata={"example": "NDI"})
    token = Text(blank=True, load_default="", metadata={"description": "Works once."})


class SignIn(Body):
    """A username, in any spelling, and its password."""

    component = "Credentials"

    username = Login(required=True, metadata={"example": "anna"})
    password = Password(required=True, metadata={"example": "correct horse battery"})


class _Token(Body):
    """A body with one token."""

    only_field: ClassVar[str]

    def load(self, data: Any, **options: Any) -> Any:
        """Read `data` as every schema does; for what can be a token at once, which saves 5 µs of a refresh."""
        token = data.get(self.only_field)
        if isinstance(token, str) and _PLAIN_TOKEN.fullmatch(token):
            return {self.only_field: token}
        return super().load(data, **options)


class Refresh(_Token):
    """A refresh token."""

    component = "RefreshToken"
    only_field = "refresh"

    refresh = Text(required=True, metadata={"description": "The refresh token from the response of sign-in."})


class Verify(_Token):
    """An access or refresh token."""

    component = "AnyToken"
    only_field = "token"

    token = Text(required=True, metadata={"description": "An access or a refresh token."})


class User(Schema):
    """An account."""

    email = fields.String(required=True, metadata={"example": "anna@example.com", "maxLength": EMAIL_MAX_LENGTH})
    id = fields.Integer(required=True, metadata={"example": 1})
    username = fields.String(required=True, metadata={"example": "anna"})


class AccountState(Schema):
    """What only staff see of an account."""

    is_active = fields.Boolean(metadata={"description": "Whether it can sign in.", "example": True})
    is_staff = fields.Boolean(metadata={"description": "Whether it is staff.", "example": False})
    awaits_activation = fields.Boolean(
        metadata={"description": "Whether it waits for the link of its activation letter.", "example": False}
    )
    pending_email = fields.String(
        allow_none=True, metadata={"description": "An address that waits for the link of its letter.", "example": None}
    )
    date_joined = fields.DateTime(
        allow_none=True,
        metadata={"description": "As in its profile; null when it deleted that.", "example": TIME_EXAMPLE},
    )
    last_login = fields.DateTime(
        allow_none=True,
        metadata={"description": "The last sign-in among the events that are kept.", "example": TIME_EXAMPLE},
    )
    sessions = fields.Integer(
        metadata={"description": "Sessions that are valid now; counted up to 1,000.", "example": 1}
    )


class Profile(Schema):
    """A profile."""

    id = fields.Integer(required=True, metadata={"example": 1})
    user = fields.String(required=True, metadata={"description": "The owner's username.", "example": "anna"})
    description = fields.String(required=True, allow_none=True, metadata={"example": "I run the film club."})
    location = fields.String(required=True, metadata={"example": "Lisbon"})
    date_joined = fields.DateTime(required=True, metadata={"example": TIME_EXAMPLE})
    updated_on = fields.DateTime(required=True, metadata={"example": TIME_EXAMPLE})
    is_creator = fields.Boolean(required=True, metadata={"example": True})


class TokenPair(Schema):
    """The response of sign-in."""

    refresh = fields.String(required=True, metadata={"description": "Gets new access tokens until the session ends."})
    access = fields.String(required=True, metadata={"description": "Send it as `Authorization: Bearer …`."})


class AccessToken(Schema):
    """The response of refresh."""

    component = "RefreshedTokens"

    access = fields.String(required=True, metadata={"description": "Send it as `Authorization: Bearer …`."})


class RotatedTokens(AccessToken):
    """The response of refresh with rotation."""

    refresh = fields.String(
        required=True, metadata={"description": "Takes the place of the one that was sent: store it."}
    )


class AuthToken(Schema):
    """The response of token login."""

    component = "ApiToken"

    auth_token = fields.String(required=True, metadata={"description": "Send it as `Authorization: Token …`."})


class Nothing(Schema):
    """An empty object."""

    component = "EmptyObject"


class Root(Schema):
    """The URL of the accounts."""

    component = "ApiRoot"

    users = fields.String(required=True, metadata={"example": "http://127.0.0.1:8080/auth/users/"})


class Health(Schema):
    """The state of the service."""

    status = fields.String(required=True, metadata={"example": "ok"})
