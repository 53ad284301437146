"""Issues and reads JSON Web Tokens (contract 4.1), and stores the signing key of the bundled database.

Each token names its session (claim `sid`). A valid token alone proves nothing: its session must not have ended.
Tokens are read under the rules of RFC 8725: one algorithm, the keys of the settings, and no header parameter but `alg`
is used.
"""

import base64
import contextlib
import hmac
import os
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import orjson

from server.database.ids import read_id, read_uuid
from server.errors import StartError, TokenNotValid
from server.settings.values import MIN_KEY_BYTES

ACCESS = "access"
REFRESH = "refresh"
ALGORITHM = "HS256"
MAX_ROTATION = 2**31 - 1  # of an integer column; a session cannot be refreshed as often
JWT_MAX_LENGTH = 4096  # characters; tokens of the service have about 300
VERIFIED_CACHE_TOKENS = 16_384  # about 600 bytes each; a signature is checked once, the expiry at every use

# `exp` is checked in `read`, at each use of a cached token. Audience, issuer and subject are ignored (contract 4.1).
# A future `iat` is accepted: another clock than this one may have set it, that of the database or of another machine.
# PyJWT would refuse it; RFC 7519 §4.1.6 asks for no check, and nothing here is decided by the age of a token.
NO_CLAIM_CHECKS: Any = {f"verify_{claim}": False for claim in ("exp", "iat", "aud", "iss", "sub", "jti")}


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _new_jti() -> str:
    """As `uuid.uuid4().hex`, in a third of its time (RFC 9562 §5.4: version 4, variant 8)."""
    digits = secrets.token_hex(16)
    return f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"


def _signature(signed: bytes, key: bytes) -> bytes:
    return _base64url(hmac.digest(key, signed, "sha256"))


_HEADER = _base64url(orjson.dumps({"alg": ALGORITHM, "typ": "JWT"}))


class Claims(NamedTuple):
    """What a verified token says: its kind, its account, its session, when it expires (epoch seconds), its number.

    The first refresh token of a session has the number 0, and no claim for it; each rotation makes the next one.
    """

    kind: str
    user_id: int
    session_id: uuid.UUID
    expires: float
    rotation: int = 0


class Tokens:
    """Issues the tokens of one signing key, and reads those of `verifying_keys`, too."""

    def __init__(
        self, key: str, *, access_lifetime: int, refresh_lifetime: int, verifying_keys: Sequence[str] = ()
    ) -> None:
        self._key = key.encode()
        self._keys = (self._key, *(each.encode() for each in verifying_keys))
        self._lifetimes = {ACCESS: access_lifetime, REFRESH: refresh_lifetime}
        self._verified = lru_cache(VERIFIED_CACHE_TOKENS)(self._verify)

    def issue(
        self, kind: str, user_id: int, session_id: uuid.UUID, display: Mapping[str, str | None] | None = None
    ) -> str:
        """A token of `kind` (ACCESS or REFRESH) for a session, as a compact JWS.

        `display` are more claims, for clients to show. The service never reads them back (contract 12).
        """
        now = int(time.time())
        claims = {
            "token_type": kind,
            "exp": now + self._lifetimes[kind],
            "iat": now,
            "jti": _new_jti(),
            "user_id": str(user_id),
            "sid": str(session_id),
            **(display or {}),
        }
        return self._sign(claims)

    def issue_successor(
        self,
        user_id: int,
        session_id: uuid.UUID,
        rotation: int,
        *,
        issued: float,
        expires: float,
        display: Mapping[str, str | None] | None = None,
    ) -> str:
        """The refresh token with the number `rotation`; equal arguments make an equal token (security 20).

        `issued` and `expires` are epoch seconds. Nothing in the token is random: its id is made of its session and
        number, so that no table of tokens is needed to give the same one to simultaneous callers.
        """
        claims = {
            "token_type": REFRESH,
            "exp": int(expires),
            "iat": int(issued),
            "jti": uuid.uuid5(session_id, str(rotation)).hex,  # RFC 9562 §5.5
            "user_id": str(user_id),
            "sid": str(session_id),
            "rotation": rotation,
            **(display or {}),
        }
        return self._sign(claims)

    def _sign(self, claims: Mapping[str, Any]) -> str:
        # RFC 7515 §3.1. Not PyJWT: for each signature it tests the key for four file formats, 24 µs instead of 3.
        signed = _HEADER + b"." + _base64url(orjson.dumps(claims))
        return (signed + b"." + _signature(signed, self._key)).decode()

    def read(self, token: str, *kinds: str) -> Claims:
        """The claims of a token of one of `kinds`.

        Raises TokenNotValid with the reason: an invalid signature, an expired token, another kind.
        """
        if len(token) > JWT_MAX_LENGTH:
            raise TokenNotValid
        claims = self._verified(token)
        if claims.expires <= time.time():
            raise TokenNotValid("Token is expired")
        if claims.kind not in kinds:
            raise TokenNotValid("Token has wrong type")
        return claims

    def _verify(self, token: str) -> Claims:
        for key in self._keys:
            try:
                claims = _own_claims(token.encode(), key)
                if claims is None:
                    claims = jwt.decode(token, key, [ALGORITHM], options=NO_CLAIM_CHECKS)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, RecursionError, ValueError, OverflowError, TypeError):
                # Besides PyJWT's own errors: those that json raises for hostile depth and numbers.
                raise TokenNotValid from None
            return _claims(claims)
        raise TokenNotValid


def _own_claims(token: bytes, key: bytes) -> dict[str, Any] | None:
    """The claims of a token with the header and claims that the service writes; None for others: PyJWT reads them.

    The header is compared, not read: it names the one algorithm, and nothing that asks for more (RFC 8725 §3.1, §3.10).
    PyJWT takes six times as long. Raises jwt.InvalidSignatureError, and ValueError when no JSON is signed.
    """
    signed, _, signature = token.rpartition(b".")
    header, _, payload = signed.partition(b".")
    if header != _HEADER:
        return None
    if not hmac.compare_digest(signature, _signature(signed, key)):
        raise jwt.InvalidSignatureError
    claims = orjson.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return claims if isinstance(claims, dict) and "nbf" not in claims else None


def _claims(claims: dict[str, Any]) -> Claims:
    """The claims in their types. Raises TokenNotValid, with simplejwt's texts in simplejwt's order."""
    if claims.get("exp") is None:
        raise TokenNotValid("Token has no 'exp' claim")
    expires = numeric_date(claims["exp"])
    numeric_date(claims.get("iat", 0))
    if "jti" not in claims:
        raise TokenNotValid("Token has no id")
    if "token_type" not in claims:
        raise TokenNotValid("Token has no type")
    if "user_id" not in claims:
        raise TokenNotValid("Token contained no recognizable user identification")
    user_id, session_id = read_user_id(claims["user_id"]), _session_id(claims.get("sid"))
    return Claims(str(claims["token_type"]), user_id, session_id, expires, _rotation(claims.get("rotation", 0)))


def numeric_date(claim: Any) -> float:
    """Epoch seconds (RFC 7519 §2)."""
    # The comparison is false for NaN.
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not -1e15 < claim < 1e15:
        raise TokenNotValid
    return float(claim)


def read_user_id(claim: Any) -> int:
    """The id of an account: digits, or a number. Raises TokenNotValid."""
    user_id = read_id(str(claim)) if isinstance(claim, int | str) and not isinstance(claim, bool) else None
    if user_id is None:
        raise TokenNotValid
    return user_id


def _session_id(claim: Any) -> uuid.UUID:
    session_id = read_uuid(claim) if isinstance(claim, str) else None
    if session_id is None:
        raise TokenNotValid
    return session_id


def _rotation(claim: Any) -> int:
    if isinstance(claim, bool) or not isinstance(claim, int) or not 0 <= claim < MAX_ROTATION:
        raise TokenNotValid
    return claim


def stored_signing_key(folder: Path) -> str:
    """The signing key stored in `folder`. The first call creates it (mode 0600); simultaneous calls return one key.

    Raises StartError when the folder cannot be written or the stored key is too short.
    """
    path = folder / "signing_key"
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_text(errors="replace").strip()
    except OSError as failure:
        raise StartError(f"The signing key cannot be stored in {path}: {failure.strerror}.") from failure
    if len(key.encode()) < MIN_KEY_BYTES:
        raise StartError(f"{path} has fewer than {MIN_KEY_BYTES} bytes: remove it, and the next start makes a new one.")
    return key


def _make_key(path: Path) -> None:
    fresh = path.with_name(f".signing_key.{os.getpid()}")
    fresh.touch(mode=0o600)
    try:
        with fresh.open("w") as file:
            file.write(os.urandom(MIN_KEY_BYTES).hex())
            file.flush()
            # Before the first use: after a power cut the file must not be empty while signed tokens exist.
            os.fsync(file.fileno())
        # A hard link never replaces the key of a process that was first, and never shows a partial file.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
