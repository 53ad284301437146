"""Every failure that a caller may see, declared once: status, text, headers. One middleware renders them all.

Texts and codes are protocol (contract, sections 1.5 and 8): clients parse them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from server.settings.values import MIN_POSTGRES


class StartError(Exception):
    """The service cannot start as it is set up; the text says why, for whoever starts it."""


class PostgresTooOld(StartError):
    """The database is of a PostgreSQL that lacks what the schema needs."""

    def __init__(self, version: int) -> None:
        super().__init__(f"PostgreSQL {MIN_POSTGRES} or newer is needed; this one is {version}.")


class Problem(Exception):
    """A failure with an answer: `status`, a JSON `body` and extra `headers`."""

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
        """The answer as JSON-able data (contract 1.5)."""
        return {"detail": self.detail, "code": self.code} if self.code else {"detail": self.detail}


class BadRequest(Problem):
    """The request cannot be read as HTTP."""

    status = 400
    text = "The request could not be read."


class ParseError(Problem):
    """The body is not what its content type promises (contract 1.2)."""

    status = 400


class FieldErrors(Problem):
    """Texts by field; faults of the whole object stand under `non_field_errors`."""

    status = 400

    def __init__(self, fields: Mapping[str, Any], sound: Mapping[str, Any] | None = None) -> None:
        super().__init__("The fields have faults.")
        self.fields = dict(fields)
        self.sound = dict(sound or {})  # the fields that have none

    @property
    def body(self) -> Any:
        """The field errors as the contract writes them."""
        return self.fields


class FieldFaults:
    """Collects the faults of fields, so that one response reports all of them (contract 1.3, 12)."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self.valid: dict[str, Any] = {}

    def add(self, fields: Mapping[str, Any]) -> None:
        """Add texts by field; a later text of the same field replaces an earlier one."""
        self._fields |= fields

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collect the FieldErrors that the block raises; `valid` then holds the fields that had no fault."""
        try:
            yield
        except FieldErrors as failure:
            self.add(failure.fields)
            self.valid |= failure.sound

    def check(self) -> None:
        """Raises FieldErrors with everything that was collected, if anything was."""
        if self._fields:
            raise FieldErrors(self._fields, self.valid)


class ListedError(Problem):
    """A failure after validation, which the contract writes as a bare list (1.5)."""

    status = 400

    @property
    def body(self) -> Any:
        """The text in a list."""
        return [self.detail]


class EmailNotFound(ListedError):
    """No account that may have the letter has the address; told only where the settings say so (contract 7.1)."""

    text = "User with given email does not exist."


class ActivationIsOff(Problem):
    """Accounts need no activation here, so there is no letter to send again: the contract's 400 has no body."""

    status = 400
    has_body = False


class NotAuthenticated(Problem):
    """Nobody is signed in, and the door asks for somebody."""

    status = 401
    text = "Authentication credentials were not provided."
    headers = {"WWW-Authenticate": 'Bearer realm="api"'}


class BadCredentials(Problem):
    """Credentials came and are no good (RFC 6750 §3.1)."""

    status = 401
    text = "Invalid token."
    headers = {"WWW-Authenticate": 'Bearer realm="api", error="invalid_token"'}


class BadAuthorizationHeader(BadCredentials):
    """The Authorization header is not a keyword and one token."""

    text = "Authorization header must contain two space-delimited values"
    code = "bad_authorization_header"


class UserNotFound(BadCredentials):
    """The token is sound, its account is gone."""

    text = "User not found"
    code = "user_not_found"


class UserInactive(BadCredentials):
    """The token is sound, its account is deactivated."""

    text = "User is inactive"
    code = "user_inactive"


class TokenNotValid(BadCredentials):
    """A token that refresh, verify or blacklist does not take; the text says why."""

    text = "Token is invalid"
    code = "token_not_valid"


class AccessTokenNotValid(TokenNotValid):
    """An access token that a protected route does not take; the reason stands in `messages`."""

    def __init__(self, reason: str) -> None:
        super().__init__("Given token not valid for any token type")
        self.reason = reason

    @property
    def body(self) -> Any:
        """The answer with simplejwt's list of messages (contract 1.5)."""
        message = {"token_class": "AccessToken", "token_type": "access", "message": self.reason}
        return {**super().body, "messages": [message]}


class NoActiveAccount(Problem):
    """Sign-in failed; which part of it was wrong is nobody's business (trust 8)."""

    status = 401
    text = "No active account found with the given credentials"
    headers = NotAuthenticated.headers


class Forbidden(Problem):
    """Signed in, and not allowed."""

    status = 403
    text = "You do not have permission to perform this action."


class StaleToken(Forbidden):
    """The account that a letter would activate is active already."""

    text = "Stale token for given user."


class NotFound(Problem):
    """No such path or thing, or none that the caller may know of."""

    status = 404
    text = "Not found."


class MethodNotAllowed(Problem):
    """The path does not know the method."""

    status = 405

    def __init__(self, method: str) -> None:
        super().__init__(f'Method "{method}" not allowed.')


class NotAcceptable(Problem):
    """The caller takes no JSON."""

    status = 406
    text = "Could not satisfy the request Accept header."


class RequestTimeout(Problem):
    """The body did not arrive in time."""

    status = 408
    text = "The request body did not arrive in time."


class Conflict(Problem):
    """The thing is there already."""

    status = 409
    text = "It exists already."


class TooLarge(Problem):
    """The body is longer than the service reads."""

    status = 413
    text = "The request body is too large."


class UnsupportedMediaType(Problem):
    """The body is in a form that the service does not read."""

    status = 415

    def __init__(self, media_type: str) -> None:
        super().__init__(f'Unsupported media type "{_readable(media_type)}" in request.')


class UnsupportedEncoding(Problem):
    """The body is compressed, which the service does not undo (RFC 9110 §15.5.16)."""

    status = 415
    headers = {"Accept-Encoding": "identity"}

    def __init__(self, encoding: str) -> None:
        super().__init__(f'Unsupported content encoding "{_readable(encoding)}" in request.')


class ExpectationFailed(Problem):
    """The caller waits for something else than 100 Continue (RFC 9110 §10.1.1)."""

    status = 417
    text = "Expectation Failed."


class Unavailable(Problem):
    """The database cannot be asked now; the outcome of a change that was under way is unknown."""

    status = 503
    text = "The service is temporarily unavailable."
    headers = {"Retry-After": "2"}


class Busy(Unavailable):
    """A queue is full: this request was not begun."""

    text = "The service is busy."


def _readable(header: str) -> str:
    # Bytes that are no text come out of a header as lone surrogates, which JSON cannot hold.
    return header.encode(errors="replace").decode()
