"""The schema of an export: the names of what is stored, which are not those of the other endpoints."""

from marshmallow import Schema, fields, validate

from server.accounts.events import EVENT_KINDS

_TIME_EXAMPLE = "2026-11-23T15:12:37.495408Z"


class ExportedProfile(Schema):
    """The profile in an export."""

    id = fields.Integer(required=True)
    description = fields.String(required=True, allow_none=True)
    location = fields.String(required=True)
    is_creator = fields.Boolean(required=True)
    date_joined = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    updated_on = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})


class ExportedNetwork(Schema):
    """A network that the account has signed in from."""

    network = fields.String(required=True, metadata={"example": "192.0.2.1"})
    last_seen_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})


class ExportedLetter(Schema):
    """A letter that waits to be sent, or was given up."""

    kind = fields.String(required=True, metadata={"example": "password_changed"})
    address = fields.String(required=True)
    queued_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    tries = fields.Integer(required=True)
    given_up_at = fields.DateTime(required=True, allow_none=True)


class ExportedSession(Schema):
    """A session in an export."""

    id = fields.String(required=True, metadata={"format": "uuid"})
    address = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    device = fields.String(required=True, metadata={"description": "The User-Agent header of the client."})
    opened_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    last_used_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    expires_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})


class ExportedEvent(Schema):
    """An event in an export."""

    id = fields.Integer(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(EVENT_KINDS), metadata={"example": "signed_in"})
    happened_at = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    user_id = fields.Integer(required=True, metadata={"description": "The account that it is about."})
    actor_id = fields.Integer(required=True, allow_none=True, metadata={"description": "The account that acted."})
    command = fields.String(
        required=True, allow_none=True, metadata={"description": "The command of the operator that acted."}
    )
    address = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    device = fields.String(required=True)
    request_id = fields.String(required=True)
    details = fields.Dict(required=True)


class Export(Schema):
    """Everything that is held about an account."""

    id = fields.Integer(required=True, metadata={"example": 1})
    username = fields.String(required=True, allow_none=True, metadata={"example": "anna"})
    email = fields.String(required=True, metadata={"example": "anna@example.com"})
    pending_email = fields.String(required=True, allow_none=True)
    language = fields.String(required=True, metadata={"example": "en"})
    role = fields.String(required=True, allow_none=True)
    is_active = fields.Boolean(required=True)
    is_staff = fields.Boolean(required=True)
    awaits_activation = fields.Boolean(required=True)
    date_joined = fields.DateTime(
        required=True,
        allow_none=True,
        metadata={"description": "At the site that the account was imported from.", "example": _TIME_EXAMPLE},
    )
    last_login = fields.DateTime(
        required=True,
        allow_none=True,
        metadata={"description": "The last sign-in at that site.", "example": _TIME_EXAMPLE},
    )
    adopts_tokens = fields.Boolean(
        required=True, metadata={"description": "Whether refresh tokens of that site may open a session."}
    )
    account_fields = fields.Dict(required=True, allow_none=True, metadata={"description": "The declared fields."})
    profile = fields.Nested(ExportedProfile, required=True, allow_none=True)
    role_fields = fields.Dict(required=True, metadata={"description": "The fields of each role, by its name."})
    networks = fields.List(fields.Nested(ExportedNetwork), required=True)
    letters = fields.List(fields.Nested(ExportedLetter), required=True)
    sessions = fields.List(fields.Nested(ExportedSession), required=True)
    events = fields.List(fields.Nested(ExportedEvent), required=True)
