"""Fields of request bodies and query strings, with the contract's texts (sections 1.3, 3, 8)."""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from server.auth.password_rules import PASSWORD_MAX_BYTES, PASSWORD_TOO_LONG
from server.mailbox import NoMailbox, mailbox

REQUIRED = "This field is required."
NULL = "This field may not be null."
BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NOT_EMAIL = "Enter a valid email address."
NOT_USERNAME = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."
NOT_FLAG = "Must be a valid boolean."
PASSWORD_MISMATCH = "The two password fields didn't match."  # noqa: S105  a text
USERNAME_MISMATCH = "The two username fields didn't match."

USERNAME_MAX_LENGTH = 150
EMAIL_MAX_LENGTH = 254
LOCATION_MAX_LENGTH = 30
CHECKED_MAX_LENGTH = 1000  # of a username or address that is longer, the rest is not looked at (security 39)
DESCRIPTION_MAX_BYTES = 16 * 1024  # UTF-8 (security 36)

_TRUE = {"t", "y", "yes", "true", "on", "1"}
_FALSE = {"f", "n", "no", "false", "off", "0"}


class Body(Schema):
    """A request body; unknown fields are ignored (contract 1.2)."""

    class Meta:
        unknown = EXCLUDE


class Query(Schema):
    """A query string; unknown parameters are ignored (contract 11.26)."""

    class Meta:
        unknown = EXCLUDE


def max_length(length: int) -> validate.Validator:
    """A validator: at most `length` characters."""
    return validate.Length(max=length, error=f"Ensure this field has no more than {length} characters.")


def max_bytes(number: int) -> Callable[[str], None]:
    """A validator: at most `number` bytes in UTF-8."""

    def check(text: str) -> None:
        if len(text) > number or len(text.encode(errors="surrogatepass")) > number:
            raise ValidationError(f"Ensure this field has no more than {number} bytes.")

    return check


def only_storable_characters(text: str) -> None:
    """Raises ValidationError for characters that PostgreSQL or UTF-8 cannot store: NUL, lone surrogates."""
    faults = []
    if "\0" in text:
        faults.append("Null characters are not allowed.")
    try:
        text.encode()  # five times as fast as a search
    except UnicodeEncodeError as failure:
        faults.append(f"Surrogate characters are not allowed: U+{ord(text[failure.start]):X}.")
    if faults:
        raise ValidationError(faults)


def not_an_object(value: Any) -> str:
    """The text for a `value` that is not an object."""
    return f"Invalid data. Expected a dictionary, but got {type(value).__name__}."


class NestedObject(fields.Nested):
    """An object inside the object; in forms its fields are named `NAME.FIELD`."""

    default_error_messages = {"required": REQUIRED, "null": NULL}

    def _deserialize(self, value: Any, *rest: Any, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError({"non_field_errors": [not_an_object(value)]})
        return super()._deserialize(value, *rest, **kwargs)


class Text(fields.String):
    """Text (contract 1.3): trimmed; numbers become text; an empty text is a fault unless `blank` is set."""

    default_error_messages = {"required": REQUIRED, "null": NULL, "invalid": NOT_TEXT, "blank": BLANK}

    def __init__(self, *, blank: bool = False, trim: bool = True, **options: Any) -> None:
        validators = options.pop("validate", [])
        super().__init__(validate=[*validators, only_storable_characters], **options)
        self.blank = blank
        self.trim = trim

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.make_error("invalid")
        text = str(value)
        if self.trim:
            text = text.strip()
        if not text and not self.blank:
            raise self.make_error("blank")
        return text


def _is_username(name: str) -> None:
    if not re.fullmatch(r"[\w.@+-]+", name[:CHECKED_MAX_LENGTH]):
        raise ValidationError(NOT_USERNAME)


def normalized(text: str) -> str:
    """The NFKC form of a text that may be a username."""
    # NFKC shortens a text to a quarter at most; a longer text stays too long, and is not normalised.
    return unicodedata.normalize("NFKC", text) if len(text) <= 4 * USERNAME_MAX_LENGTH else text


class Username(Text):
    """A new username: NFKC first, then the rules of contract 3.1."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=[_is_username, max_length(USERNAME_MAX_LENGTH)], **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return normalized(super()._deserialize(value, attr, data, **kwargs))


class Again(Text):
    """A new username or address a second time, in the form in which a username is compared."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return normalized(super()._deserialize(value, attr, data, **kwargs))


class OptionalUsername(Username):
    """A new username that may be left out: null and an empty text mean that there is none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_none=True, **options)

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else super()._deserialize(value, *where, **kwargs)

    def _validate(self, value: Any) -> None:
        if value is not None:
            super()._validate(value)


class Login(Text):
    """A username or address to sign in with, in any spelling (contract 11.4)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=[max_length(8 * USERNAME_MAX_LENGTH)], **options)


_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{}|~-]+"
# ASCII, and in quotes what SMTP can send (RFC 5321 §4.1.2), but not "".
_LOCAL = re.compile(rf'{_ATOM}(\.{_ATOM})*|"([!#-\[\]-~]|\\[ -~])+"', re.IGNORECASE | re.ASCII)
# Both cases are written out: IGNORECASE over so many letters costs 20 ms at every start.
_LETTER = r"a-zA-Z\u00a1-\uffff"
_LABEL = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
_TOP = rf"(?!-)[{_LETTER}-]{{2,63}}(?<!-)|(?i:xn--[a-z0-9]{{1,59}})"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?:{_TOP})|(?i:localhost)")
_LITERAL = re.compile(r"\[[a-f0-9:.]{3,45}\]", re.IGNORECASE)


def _is_email(address: str) -> None:
    """Raises ValidationError for an address that is malformed (contract 3.2) or that no letter can reach (11.37).

    Its length is checked separately.
    """
    if not address:
        return
    local, at, domain = address.rpartition("@")
    if at and len(address) > CHECKED_MAX_LENGTH:
        return
    if not at or not _LOCAL.fullmatch(local) or not (_DOMAIN.fullmatch(domain) or _is_literal(domain)):
        raise ValidationError(NOT_EMAIL)
    # Of a longer address the length alone is reported (contract 3.2).
    if not domain.isascii() and len(address) <= EMAIL_MAX_LENGTH:
        try:
            mailbox(address)
        except NoMailbox:
            raise ValidationError(NOT_EMAIL) from None


def _is_literal(domain: str) -> bool:
    if not _LITERAL.fullmatch(domain):
        return False
    try:
        ipaddress.ip_address(domain[1:-1])
    except ValueError:
        return False
    return True


class Email(Text):
    """An e-mail address, kept as typed, or with its domain in lower case (contract 3.2)."""

    default_error_messages = {"invalid": NOT_EMAIL}

    def __init__(self, *, lower_domain: bool = False, **options: Any) -> None:
        super().__init__(validate=[_is_email, max_length(EMAIL_MAX_LENGTH)], **options)
        self.lower_domain = lower_domain

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not self.lower_domain:
            return text
        # Before the length is checked: lower case can be longer.
        local, at, domain = text.rpartition("@")
        return local + at + domain.lower()


def _is_bounded(password: str) -> None:
    if len(password) > PASSWORD_MAX_BYTES or len(password.encode("utf-8", "surrogatepass")) > PASSWORD_MAX_BYTES:
        raise ValidationError(PASSWORD_TOO_LONG)


class Password(Text):
    """A password, not trimmed (contract 11.6)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim=False, validate=[_is_bounded], load_only=True, **options)


def read_flag(value: Any, default: Any) -> Any:
    """True or false for one of the contract's words (contract 3.3), `default` for anything else."""
    word = str(value).strip().lower() if isinstance(value, bool | int | float | str) else ""
    if isinstance(value, float):
        word = word.removesuffix(".0")
    return True if word in _TRUE else False if word in _FALSE else default


class Flag(fields.Boolean):
    """True or false, in any of the contract's words (contract 3.3)."""

    default_error_messages = {"required": REQUIRED, "null": NULL, "invalid": NOT_FLAG}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        flag = read_flag(value, None)
        if flag is None:
            raise self.make_error("invalid")
        return bool(flag)


class WholeNumber(fields.Integer):
    """A whole number from `low` to `high`, in ASCII digits, as a query string has it."""

    def __init__(self, low: int, high: int, **options: Any) -> None:
        text = f"Must be a whole number from {low} to {high}."
        in_range = validate.Range(low, high, error=text)
        super().__init__(validate=in_range, error_messages={"invalid": text}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        # int() accepts more than digits, and its time grows with their number (contract 12).
        if not re.fullmatch("[0-9]{1,19}", value):
            raise self.make_error("invalid")
        return int(value)


_MOMENT_YEARS = r"^(?:19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"  # for the document


class Moment(fields.AwareDateTime):
    """A time with its offset (RFC 3339)."""

    def __init__(self, *, description: str) -> None:
        text = "Must be a time with its offset, such as 2026-11-23T15:12:37Z."
        messages: dict[str, Any] = {"invalid": text, "invalid_awareness": text, "format": text}
        messages["years"] = "Must be a time of the years 1970 to 9998."
        metadata = {"description": description, "pattern": _MOMENT_YEARS}
        super().__init__("iso", load_default=None, error_messages=messages, metadata=metadata)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if len(value) > 40:
            raise self.make_error("invalid")
        # A "+" of an offset that is not escaped in a query string arrives as a space.
        moment = super()._deserialize(value.replace(" ", "+"), attr, data, **kwargs)
        if not 1970 <= moment.year <= 9998:  # further ones have no form in UTC
            raise self.make_error("years")
        return moment
