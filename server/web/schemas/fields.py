"""Fields of request bodies, in the contract's words (sections 1.3, 3, 8). All faults of all fields report together."""

import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from server.auth.password_rules import MAX_BYTES, TOO_LONG

REQUIRED = "This field is required."
NULL = "This field may not be null."
BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NOT_EMAIL = "Enter a valid email address."
NOT_USERNAME = "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."
NOT_FLAG = "Must be a valid boolean."
PASSWORD_MISMATCH = "The two password fields didn't match."  # noqa: S105  a text
USERNAME_MISMATCH = "The two username fields didn't match."

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254
LOCATION_LENGTH = 30

_TRUE = {"t", "y", "yes", "true", "on", "1"}
_FALSE = {"f", "n", "no", "false", "off", "0"}


class Body(Schema):
    """What an endpoint reads. Fields that nobody asked for are ignored (contract 1.2)."""

    class Meta:
        unknown = EXCLUDE


def longest(length: int) -> validate.Validator:
    """At most `length` characters."""
    return validate.Length(max=length, error=f"Ensure this field has no more than {length} characters.")


def no_odd_characters(text: str) -> None:
    """Raises ValidationError for what PostgreSQL or UTF-8 cannot hold: NUL, lone surrogates."""
    faults = []
    if "\0" in text:
        faults.append("Null characters are not allowed.")
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate:
        faults.append(f"Surrogate characters are not allowed: U+{ord(surrogate[0]):X}.")
    if faults:
        raise ValidationError(faults)


def no_object(value: Any) -> str:
    """What is said of `value` where an object is wanted."""
    return f"Invalid data. Expected a dictionary, but got {type(value).__name__}."


class Part(fields.Nested):
    """An object within the object; in forms its fields have its name and a dot before theirs."""

    default_error_messages = {"required": REQUIRED, "null": NULL}

    def _deserialize(self, value: Any, *where: Any, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError({"non_field_errors": [no_object(value)]})
        return super()._deserialize(value, *where, **kwargs)


class Text(fields.String):
    """Text, trimmed; numbers become text; blank only where `blank` says so."""

    default_error_messages = {"required": REQUIRED, "null": NULL, "invalid": NOT_TEXT, "blank": BLANK}

    def __init__(self, *, blank: bool = False, trim: bool = True, **says: Any) -> None:
        validators = says.pop("validate", [])
        super().__init__(validate=[*validators, no_odd_characters], **says)
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
    if not re.fullmatch(r"[\w.@+-]+", name):
        raise ValidationError(NOT_USERNAME)


class Username(Text):
    """A name to be taken: NFKC first, then the rules of contract 3.1."""

    def __init__(self, **says: Any) -> None:
        super().__init__(validate=[_is_username, longest(USERNAME_LENGTH)], **says)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        # Composing shortens by four at most; what is longer stays as it is, too long in any form.
        return unicodedata.normalize("NFKC", text) if len(text) <= 4 * USERNAME_LENGTH else text


class Login(Text):
    """A name to sign in with, in any of its spellings."""

    def __init__(self, **says: Any) -> None:
        super().__init__(validate=[longest(8 * USERNAME_LENGTH)], **says)


_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{}|~-]+"
_LOCAL = re.compile(
    rf'{_ATOM}(\.{_ATOM})*|"([\x01-\x08\x0b\x0c\x0e-\x1f!#-\[\]-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"', re.IGNORECASE
)
# Both cases written out: to ignore the case of so many letters is 20 ms of compiling at every start.
_LETTER = r"a-zA-Z\u00a1-\uffff"
_LABEL = rf"[{_LETTER}0-9](?:[{_LETTER}0-9-]{{0,61}}[{_LETTER}0-9])?"
_TOP = rf"(?!-)[{_LETTER}-]{{2,63}}(?<!-)|(?i:xn--[a-z0-9]{{1,59}})"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?:{_TOP})|(?i:localhost)")
_LITERAL = re.compile(r"\[[a-f0-9:.]{3,45}\]", re.IGNORECASE)


def _is_email(address: str) -> None:
    """Contract 3.2; how long an address is, is judged beside this."""
    if not address:
        return
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not (_DOMAIN.fullmatch(domain) or _is_literal(domain)):
        raise ValidationError(NOT_EMAIL)


def _is_literal(domain: str) -> bool:
    if not _LITERAL.fullmatch(domain):
        return False
    try:
        ipaddress.ip_address(domain[1:-1])
    except ValueError:
        return False
    return True


class Email(Text):
    """An e-mail address, kept as it is written, or with its domain in lower case (contract 3.2)."""

    default_error_messages = {"invalid": NOT_EMAIL}

    def __init__(self, *, lower_domain: bool = False, **says: Any) -> None:
        super().__init__(validate=[_is_email, longest(EMAIL_LENGTH)], **says)
        self.lower_domain = lower_domain

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not self.lower_domain:
            return text
        # Before the length is judged: lower case can be longer.
        local, at, domain = text.rpartition("@")
        return local + at + domain.lower()


def _is_bounded(password: str) -> None:
    if len(password) > MAX_BYTES or len(password.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ValidationError(TOO_LONG)


class Password(Text):
    """A password, taken as it comes (contract 11.6)."""

    def __init__(self, **says: Any) -> None:
        super().__init__(trim=False, validate=[_is_bounded], load_only=True, **says)


class Flag(fields.Boolean):
    """True or false in the contract's many words (3.3)."""

    default_error_messages = {"required": REQUIRED, "null": NULL, "invalid": NOT_FLAG}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        word = str(value).strip().lower() if isinstance(value, bool | int | float | str) else ""
        if isinstance(value, float):
            word = word.removesuffix(".0")
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise self.make_error("invalid")
