"""The objects that travel: what endpoints read (`Body`), and what they answer, for the document and its test."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from server.auth.password_rules import password_faults
from server.web.schemas.fields import (
    EMAIL_LENGTH,
    LOCATION_LENGTH,
    Body,
    Email,
    Flag,
    Login,
    Part,
    Password,
    Text,
    Username,
    longest,
)


class ProfileEdit(Body):
    """What a profile's owner may change. Fields that do not come stay as they are."""

    description = Text(blank=True, allow_none=True, metadata={"example": "I run the film club."})
    location = Text(blank=True, validate=[longest(LOCATION_LENGTH)], metadata={"example": "Lisbon"})
    is_creator = Flag(metadata={"description": "Whether this person organises events.", "example": True})


class Registration(Body):
    """A new account."""

    username = Username(required=True, metadata={"example": "anna"})
    password = Password(required=True, metadata={"example": "correct horse battery"})
    email = Email(blank=True, lower_domain=True, metadata={"example": "anna@example.com"})
    profile = Part(ProfileEdit, metadata={"description": "What the profile begins with."})

    @validates_schema
    def _is_strong(self, data: dict[str, Any], **kwargs: Any) -> None:
        # Only when every field is sound (contract 5), which is what marshmallow does with a schema's validators.
        faults = password_faults(data["password"], username=data["username"], email=data.get("email", ""))
        if faults:
            raise ValidationError(faults, "password")

    @post_load
    def _without_address(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {"email": ""} | data


class UserEdit(Body):
    """What an account's owner may change."""

    email = Email(blank=True, metadata={"example": "anna@example.com"})


class UserEditByStaff(UserEdit):
    """What staff may change; from anybody else `is_active` changes nothing."""

    is_active = Flag(metadata={"description": "Staff only. False ends every session of the account at once."})


class CurrentPassword(Body):
    """The caller's own password, once more."""

    current_password = Password(required=True, metadata={"example": "correct horse battery"})


class Activation(Body):
    """What an activation letter's link carries."""

    uid = Text(required=True, metadata={"example": "NDI"})
    token = Text(required=True, metadata={"description": "Works once."})


class Address(Body):
    """Where a letter is to go."""

    email = Email(required=True, metadata={"example": "anna@example.com"})


class SetPassword(CurrentPassword):
    """A new password, and the present one."""

    new_password = Password(required=True, metadata={"example": "staple gun theory"})


class ResetPassword(Activation):
    """A new password, and what a password reset letter's link carries."""

    new_password = Password(required=True, metadata={"example": "staple gun theory"})


class SetUsername(CurrentPassword):
    """A new username, and the password."""

    new_username = Username(required=True, metadata={"example": "anna.k"})


class ResetUsername(Body):
    """A new username, and what a username reset letter's link carries."""

    new_username = Username(required=True, metadata={"example": "anna.k"})
    # Not required: absent reads as a link that is no good (contract 2).
    uid = Text(blank=True, load_default="", metadata={"example": "NDI"})
    token = Text(blank=True, load_default="", metadata={"description": "Works once."})


class SignIn(Body):
    """A username, in any spelling, and its password."""

    username = Login(required=True, metadata={"example": "anna"})
    password = Password(required=True, metadata={"example": "correct horse battery"})


class Refresh(Body):
    """A refresh token."""

    refresh = Text(required=True, metadata={"description": "The refresh token that sign-in answered."})


class Verify(Body):
    """An access or refresh token."""

    token = Text(required=True, metadata={"description": "An access or a refresh token."})


class User(Schema):
    """An account."""

    email = fields.String(required=True, metadata={"example": "anna@example.com", "maxLength": EMAIL_LENGTH})
    id = fields.Integer(required=True, metadata={"example": 1})
    username = fields.String(required=True, metadata={"example": "anna"})


class Profile(Schema):
    """What a person shows of themselves."""

    id = fields.Integer(required=True, metadata={"example": 1})
    user = fields.String(required=True, metadata={"description": "The owner's username.", "example": "anna"})
    description = fields.String(required=True, allow_none=True, metadata={"example": "I run the film club."})
    location = fields.String(required=True, metadata={"example": "Lisbon"})
    date_joined = fields.DateTime(required=True, metadata={"example": "2026-11-23T15:12:37.495408Z"})
    updated_on = fields.DateTime(required=True, metadata={"example": "2026-11-23T15:12:37.495408Z"})
    is_creator = fields.Boolean(required=True, metadata={"example": True})


class TokenPair(Schema):
    """What sign-in answers."""

    refresh = fields.String(required=True, metadata={"description": "Gets new access tokens while the session lives."})
    access = fields.String(required=True, metadata={"description": "Goes into `Authorization: Bearer …`."})


class AccessToken(Schema):
    """What refresh answers."""

    access = fields.String(required=True, metadata={"description": "Goes into `Authorization: Bearer …`."})


class AuthToken(Schema):
    """What token login answers."""

    auth_token = fields.String(required=True, metadata={"description": "Goes into `Authorization: Token …`."})


class Nothing(Schema):
    """An empty object."""


class Root(Schema):
    """Where the accounts are."""

    users = fields.String(required=True, metadata={"example": "http://127.0.0.1:8080/auth/users/"})


class Health(Schema):
    """How the service is."""

    status = fields.String(required=True, metadata={"example": "ok"})
