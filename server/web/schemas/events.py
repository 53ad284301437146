"""The schemas of events: what a client asks for, and what is shown."""

from marshmallow import Schema, fields, validate

from server.accounts.events import EVENT_KINDS
from server.database.ids import MAX_ID
from server.web.schemas.fields import Moment, Query, WholeNumber

EVENTS_PAGE_ROWS = 100
EVENTS_PAGE_MAX_ROWS = 1000

_TIME_EXAMPLE = "2026-11-23T15:12:37.495408Z"


class EventQuery(Query):
    """Which events a client asks for."""

    limit = WholeNumber(
        1, EVENTS_PAGE_MAX_ROWS, load_default=EVENTS_PAGE_ROWS, metadata={"description": "Rows at most."}
    )
    before = WholeNumber(
        1,
        MAX_ID,
        load_default=MAX_ID,
        metadata={"description": "The id before which the page begins.", "format": "int64"},
    )
    account = WholeNumber(
        1, MAX_ID, load_default=None, metadata={"description": "Of this account alone.", "format": "int64"}
    )
    kind = fields.String(
        load_default=None,
        validate=validate.OneOf(EVENT_KINDS, error="Must be one of {choices}."),
        metadata={"description": "Of this kind alone."},
    )
    since = Moment(description="From this time on.")
    until = Moment(description="Before this time.")


class Event(Schema):
    """What happened to an account."""

    component = "AccountEvent"

    id = fields.Integer(required=True, metadata={"example": 1})
    kind = fields.String(required=True, validate=validate.OneOf(EVENT_KINDS), metadata={"example": "signed_in"})
    happened_on = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    account = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The account that it is about, if one is known."}
    )
    actor = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The account that acted, if one was signed in."}
    )
    command = fields.String(
        required=True, allow_none=True, metadata={"description": "The command of the operator that acted."}
    )
    address = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.1"})
    device = fields.String(required=True, metadata={"description": "The User-Agent header of the client."})
    request_id = fields.String(required=True, metadata={"description": "The X-Request-ID of the response."})
    details = fields.Dict(required=True, metadata={"example": {"by": "session"}})
