"""The schemas of sessions: which of them a client asks for, and what is shown."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields

from server.database.ids import MAX_ID, read_uuid
from server.web.schemas.fields import Moment, Query, WholeNumber

SESSIONS_PAGE_ROWS = 100
SESSIONS_PAGE_MAX_ROWS = 1000
FIRST = UUID(int=0)  # before every id

_EXAMPLE = "5b0f7f0e-6d9a-4c1e-9d0e-3f1f0c2a7b54"
_TIME_EXAMPLE = "2026-11-23T15:12:37.495408Z"


class SessionId(fields.String):
    """The id of a session: a UUID in its usual form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = read_uuid(value)
        if found is None:
            raise ValidationError("Must be the id of a session.")
        return found


class SessionsOfQuery(Query):
    """Whose sessions a client asks for."""

    user = WholeNumber(
        1,
        MAX_ID,
        load_default=None,
        metadata={"description": "Staff only: those of this account.", "format": "int64"},
    )


class SessionQuery(SessionsOfQuery):
    """Which sessions a client asks for."""

    limit = WholeNumber(
        1, SESSIONS_PAGE_MAX_ROWS, load_default=SESSIONS_PAGE_ROWS, metadata={"description": "Rows at most."}
    )
    before = Moment(description="Those that were used last before this time.")
    before_id = SessionId(
        load_default=FIRST,
        metadata={"description": "Also those of the time `before` whose ids are lower than this.", "format": "uuid"},
    )


class Session(Schema):
    """A session: one sign-in."""

    id = fields.String(required=True, metadata={"example": _EXAMPLE, "format": "uuid"})
    device = fields.String(
        required=True,
        metadata={
            "description": "Program and system; empty when the client did not say.",
            "example": "Firefox on Linux",
        },
    )
    address = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "IP address that it was opened from.", "example": "192.0.2.1"},
    )
    opened_on = fields.DateTime(required=True, metadata={"example": _TIME_EXAMPLE})
    last_used_on = fields.DateTime(
        required=True, metadata={"description": "Exact to some two minutes.", "example": _TIME_EXAMPLE}
    )
    expires_on = fields.DateTime(
        required=True, metadata={"description": "When it ends if it is not refreshed.", "example": _TIME_EXAMPLE}
    )
    is_current = fields.Boolean(required=True, metadata={"description": "Whether it made this request."})
