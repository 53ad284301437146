"""Every error that a client can get, declared once: status, text, headers. One middleware renders all of them.

Texts and codes are protocol, because clients parse them (contract 1.5 and contract 8).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class StartError(Exception):
    """The service cannot start with these settings. The text tells the operator why."""


class Problem(Exception):
    """An error with a response: `status`, a JSON `body` and extra `headers`."""

    status = 500
    text = "Internal server error."
    code: str | None = None
    headers: Mapping[str, str] = {}
    has_body = True

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.text)
        self.detail = text or self.text

    @property
    def body(self) -> Any:
        """The body of the response, before it is JSON (contract 1.5)."""
        return {"detail": self.detail, "code": self.code} if self.code else {"detail": self.detail}


class BadRequest(Problem):
    """The request cannot be read as HTTP."""

    status = 400
    text = "The request could not be read."


class ParseError(Problem):
    """The body is not in the format that its content type says (contract 1.2)."""

    status = 400


class FieldErrors(Problem):
    """Texts by field. Faults of the whole object are under `non_field_errors`."""

    status = 400

    def __init__(self, fields: Mapping[str, Any], valid: Mapping[str, Any] | None = None) -> None:
        super().__init__("The fields have faults.")
        self.fields = dict(fields)
        self.valid = dict(valid or {})  # the values of the other fields

    @property
    def body(self) -> Any:
        """The texts by field (contract 1.5)."""
        return self.fields


class FieldFaults:
    """Collects the faults of fields, so that one response reports all of them (contract 1.3)."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self.valid: dict[str, Any] = {}

    def add(self, fields: Mapping[str, Any]) -> None:
        """Add texts by field. A later text of the same field replaces an earlier one."""
        self._fields |= fields

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collect the FieldErrors that the block raises. `valid` then has the fields without a fault."""
        try:
            yield
        except FieldErrors as failure:
            self.add(failure.fields)
            self.valid |= failure.valid

    def check(self) -> None:
        """Raises FieldErrors with all faults, if there is any."""
        if self._fields:
            raise FieldErrors(self._fields, self.valid)


class ListedError(Problem):
    """An error after validation. The body is a list with its text (contract 1.5)."""

    status = 400

    @property
    def body(self) -> Any:
        """The text in a list."""
        return [self.detail]


class EmailNotFound(ListedError):
    """No account with this address may have the letter. Raised only if the settings allow it (contract 7.1)."""

    text = "User with given email does not exist."


class ActivationIsOff(Problem):
    """Accounts need no activation, so there is no letter to send again. The response has no body."""

    status = 400
    has_body = False


class NotAuthenticated(Problem):
    """The request has no credentials, and the endpoint requires a signed-in caller."""

    status = 401
    text = "Authentication credentials were not provided."
    headers = {"WWW-Authenticate": 'Bearer realm="api"'}


class BadCredentials(Problem):
    """The credentials of the request are not valid (RFC 6750 §3.1)."""

    status = 401
    text = "Invalid token."
    headers = {"WWW-Authenticate": 'Bearer realm="api", error="invalid_token"'}


class BadAuthorizationHeader(BadCredentials):
    """The Authorization header is not a keyword and one token."""

    text = "Authorization header must contain two space-delimited values"
    code = "bad_authorization_header"


class UserNotFound(BadCredentials):
    """The token is valid, but its account was deleted."""

    text = "User not found"
    code = "user_not_found"


class UserInactive(BadCredentials):
    """The token is valid, but its account is not active."""

    text = "User is inactive"
    code = "user_inactive"


class TokenNotValid(BadCredentials):
    """A token that refresh, verify or blacklist does not accept. The text says why."""

    text = "Token is invalid"
    code = "token_not_valid"


class AccessTokenNotValid(TokenNotValid):
    """An access token that an endpoint does not accept. The reason is in `messages`."""

    def __init__(self, reason: str) -> None:
        super().__init__("Given token not valid for any token type")
        self.reason = reason

    @property
    def body(self) -> Any:
        """The body with a list of messages, as simplejwt writes it (contract 1.5)."""
        message = {"token_class": "AccessToken", "token_type": "access", "message": self.reason}
        return {**super().body, "messages": [message]}


class NoActiveAccount(Problem):
    """Sign-in failed. The response does not say which part was wrong (security 8)."""

    status = 401
    text = "No active account found with the given credentials"
    headers = NotAuthenticated.headers


class Forbidden(Problem):
    """The caller is signed in, but may not do this."""

    status = 403
    text = "You do not have permission to perform this action."


class StaleToken(Forbidden):
    """The account that the link would activate is active already."""

    text = "Stale token for given user."


class NotFound(Problem):
    """It does not exist, or the caller may not know that it exists."""

    status = 404
    text = "Not found."


class MethodNotAllowed(Problem):
    """The path does not have this method."""

    status = 405

    def __init__(self, method: str) -> None:
        super().__init__(f'Method "{method}" not allowed.')


class NotAcceptable(Problem):
    """The client does not accept JSON."""

    status = 406
    text = "Could not satisfy the request Accept header."


class TooManyRequests(Problem):
    """A limit is used up. The headers say until when (RFC 9110 §10.2.3, draft-ietf-httpapi-ratelimit-headers-10)."""

    status = 429
    text = "Request was throttled."

    def __init__(self, limit: str = "", count: int = 0, window: int = 0, seconds: int = 1) -> None:
        """`limit` is its name; it allows `count` uses in `window` seconds, and the next one in `seconds`."""
        super().__init__(f"{self.text} Expected available in {seconds} second{'' if seconds == 1 else 's'}.")
        self.headers = {
            "Retry-After": str(seconds),
            "RateLimit-Policy": f'"{limit}";q={count};w={window}',
            "RateLimit": f'"{limit}";r=0;t={seconds}',
        }


class RequestTimeout(Problem):
    """The body did not arrive in time."""

    status = 408
    text = "The request body did not arrive in time."


class Conflict(Problem):
    """It exists already."""

    status = 409
    text = "It exists already."


class TooLarge(Problem):
    """The body is longer than the limit."""

    status = 413
    text = "The request body is too large."


class UnsupportedMediaType(Problem):
    """The content type of the body is not supported."""

    status = 415

    def __init__(self, media_type: str) -> None:
        super().__init__(f'Unsupported media type "{_readable(media_type)}" in request.')


class UnsupportedEncoding(Problem):
    """The body is compressed, and the service does not decompress (RFC 9110 §15.5.16)."""

    status = 415
    headers = {"Accept-Encoding": "identity"}

    def __init__(self, encoding: str) -> None:
        super().__init__(f'Unsupported content encoding "{_readable(encoding)}" in request.')


class ExpectationFailed(Problem):
    """The client expects something other than 100 Continue (RFC 9110 §10.1.1)."""

    status = 417
    text = "Expectation Failed."


class Unavailable(Problem):
    """The database is unavailable. The outcome of a change that was in flight is unknown."""

    status = 503
    text = "The service is temporarily unavailable."
    headers = {"Retry-After": "2"}


class Busy(Unavailable):
    """A queue is full. Nothing was done for this request."""

    text = "The service is busy."


def _readable(header: str) -> str:
    # Bytes of a header that are not UTF-8 become lone surrogates, which JSON cannot contain.
    return header.encode(errors="replace").decode()
