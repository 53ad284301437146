"""Tokens are written by hand and read by a library: each checks the other."""

import uuid

import jwt
import pytest

from server.auth.tokens import ACCESS, REFRESH, Tokens
from tests.conftest import KEY


@pytest.mark.parametrize("kind", [ACCESS, REFRESH])
@pytest.mark.parametrize("shows", [None, {"role": "teacher"}, {"role": None}])
def test_a_token_is_what_the_library_would_have_written(kind: str, shows: dict[str, str | None] | None) -> None:
    session = uuid.uuid4()
    token = Tokens(KEY, access_lifetime=300, refresh_lifetime=86400).issue(kind, 42, session, shows)
    claims = jwt.decode(token, KEY, ["HS256"])
    assert claims["exp"] - claims["iat"] == {ACCESS: 300, REFRESH: 86400}[kind]
    assert uuid.UUID(hex=claims["jti"]).version == 4
    assert claims | {"exp": 0, "iat": 0, "jti": ""} == {
        **{"token_type": kind, "exp": 0, "iat": 0, "jti": "", "user_id": "42", "sid": str(session)},
        **(shows or {}),
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert token == jwt.encode(claims, KEY, "HS256")
