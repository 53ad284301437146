"""Tokens are written by our code and read by PyJWT; each checks the other."""

import uuid

import jwt
import pytest

from server.auth.tokens import ACCESS, REFRESH, Tokens
from tests.conftest import KEY


@pytest.mark.parametrize("kind", [ACCESS, REFRESH])
@pytest.mark.parametrize("display", [None, {"role": "teacher"}, {"role": None}])
def test_a_token_is_equal_to_the_one_that_pyjwt_writes(kind: str, display: dict[str, str | None] | None) -> None:
    session = uuid.uuid4()
    token = Tokens(KEY, access_lifetime=300, refresh_lifetime=86400).issue(kind, 42, session, display)
    claims = jwt.decode(token, KEY, ["HS256"])
    assert claims["exp"] - claims["iat"] == {ACCESS: 300, REFRESH: 86400}[kind]
    assert uuid.UUID(hex=claims["jti"]).version == 4
    assert claims | {"exp": 0, "iat": 0, "jti": ""} == {
        **{"token_type": kind, "exp": 0, "iat": 0, "jti": "", "user_id": "42", "sid": str(session)},
        **(display or {}),
    }
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert token == jwt.encode(claims, KEY, "HS256")
