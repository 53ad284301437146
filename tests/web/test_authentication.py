"""The Authorization header: what it may contain, and when it is checked (contract 1.1, 1.6)."""

import pytest

from tests.conftest import Client, Person

CHALLENGE = 'Bearer realm="api"'

INVALID_TOKEN = 'Bearer realm="api", error="invalid_token"'

NOT_PROVIDED = "Authentication credentials were not provided."

TWO_VALUES = "Authorization header must contain two space-delimited values"

TOKEN_NOT_VALID = "Given token not valid for any token type"

REFUSED = [
    ("", NOT_PROVIDED, CHALLENGE),
    ("Basic YTpi", NOT_PROVIDED, CHALLENGE),
    ("eyJ.eyJ.x", NOT_PROVIDED, CHALLENGE),
    ("Bearer", TWO_VALUES, INVALID_TOKEN),
    ("Bearer a b", TWO_VALUES, INVALID_TOKEN),
    ("jwt", TWO_VALUES, INVALID_TOKEN),
    ("Bearer nonsense", TOKEN_NOT_VALID, INVALID_TOKEN),
    ("bearer \xff", TOKEN_NOT_VALID, INVALID_TOKEN),
    ("JWT a.b.c", TOKEN_NOT_VALID, INVALID_TOKEN),
    ("Token", "Invalid token header. No credentials provided.", INVALID_TOKEN),
    ("Token a b", "Invalid token header. Token string should not contain spaces.", INVALID_TOKEN),
    ("token 0123456789012345678901234567890123456789", "Invalid token.", INVALID_TOKEN),
]


@pytest.mark.parametrize(("header", "detail", "challenge"), REFUSED)
async def test_a_protected_route_says_what_is_wrong_with_the_header(
    client: Client, header: str, detail: str, challenge: str
) -> None:
    response = await client.get("/auth/users/me/", headers={"Authorization": header})
    assert (response.status, (await response.json())["detail"]) == (401, detail)
    assert response.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize(("header", "detail", "challenge"), [row for row in REFUSED if row[2] == INVALID_TOKEN])
async def test_a_bad_header_is_refused_on_public_routes_too(
    client: Client, header: str, detail: str, challenge: str
) -> None:
    response = await client.post("/auth/users/", headers={"Authorization": header})
    assert (response.status, (await response.json())["detail"]) == (401, detail)
    for path in ("/auth/jwt/create/", "/auth/jwt/verify/"):
        assert (await client.post(path, headers={"Authorization": header})).status == 400
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert (await client.get(path, headers={"Authorization": header})).status == 200


@pytest.mark.parametrize("keyword", ["Bearer", "bearer", "BEARER", "JWT", "jwt", "Jwt", "Bearer  ", " Bearer"])
async def test_the_case_of_the_keyword_does_not_matter(anna: Person, keyword: str) -> None:
    headers = {"Authorization": f"{keyword} {anna.tokens['access']}"}
    assert (await anna.client.get("/auth/users/me/", headers=headers)).status == 200


async def test_two_authorization_headers_are_refused(anna: Person) -> None:
    headers = [("Authorization", anna.header["Authorization"])] * 2
    response = await anna.client.get("/auth/users/me/", headers=headers)
    assert (response.status, await response.json()) == (401, {"detail": TWO_VALUES, "code": "bad_authorization_header"})


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_the_caller_and_the_path_are_checked_before_the_body(anna: Person, boris: Person, kind: str) -> None:
    body, headers = b"{broken", {"Content-Type": kind}
    for method, path, status in (
        ("PUT", f"/api/accounts/profile/{(await boris.profile())['id']}", 403),
        ("PUT", "/api/accounts/profile/999999999", 404),
        ("PATCH", f"/auth/users/{boris.id}/", 404),
        ("TRACE", f"/auth/users/{boris.id}/", 405),
        ("DELETE", "/auth/users/me/", 415 if kind == "text/plain" else 400),
    ):
        assert (await anna.client.request(method, path, data=body, headers=headers)).status == 401
        assert (await anna.ask(method, path, data=body, headers=headers.copy()))[0] == status


@pytest.mark.parametrize(("before", "status"), [(900, 200), (1000, 406), (8000, 406)])
async def test_of_an_accept_header_the_first_1000_characters_count(anna: Person, before: int, status: int) -> None:
    headers = {"Accept": "," * before + "application/json"}
    assert (await anna.get("/auth/users/me/", headers=headers))[0] == status
