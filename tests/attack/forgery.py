"""Tokens that the service did not issue, or not for this use (security 12 to 17)."""

import base64
import json
import re
import string
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tests.attack.attacks import Outcome, attack
from tests.attack.letters import proof, read_links
from tests.attack.stage import Stage, Visitor, all_at_once
from tests.conftest import PASSWORD
from tests.jwts import claims_of, sign_bytes
from tests.processes import ROOT

ME = "/auth/users/me/"
AT_ONCE = 50
REFUSALS = {400, 401, 431}
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

# RFC 7518 §3.1, RFC 8037, RFC 8812, RFC 9864, spellings of "none", and what is no name of an algorithm at all.
ALGORITHMS: list[Any] = [
    *("HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"),
    *("EdDSA", "ES256K", "Ed25519", "Ed448", "RSA1_5", "RSA-OAEP", "A128KW", "A256KW", "dir", "ECDH-ES"),
    *("PBES2-HS256+A128KW", "A128GCMKW", "HS1", "HS256/64", "HS224", "MD5", "SHA256"),
    *("none", "None", "NONE", "nOnE", "NoNe", "nONE", "none\0", "\0none", "none\u00a0", "ｎｏｎｅ"),
    *("hs256", "Hs256", "HS256\0", "HS-256", "HMACSHA256", "ＨＳ256", " HS256", "HS256 ", "", " "),
    *(None, True, False, 0, 1, 256, 1e3, [], ["HS256"], ["none"], {}, {"alg": "HS256"}),
]
CRITICAL: list[Any] = [["exp"], ["x"], [], "x", None, 1, {}, ["b64"], ["x"] * 1000, [None], [[]]]
HEADER_FIELDS: list[dict[str, Any]] = [
    *({"crit": value} for value in CRITICAL),
    {"b64": False},
    {"b64": False, "crit": ["b64"]},
    {"enc": "A256GCM", "alg": "dir"},
]
IGNORED_FIELDS: list[dict[str, Any]] = [
    {"jwk": {"kty": "oct", "k": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"}},
    {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
    {"jku": "http://127.0.0.1:1/keys"},
    {"x5u": "http://127.0.0.1:1/chain"},
    {"x5c": ["MIIB"]},
    {"x5t": "x"},
    {"zip": "DEF"},
    *(
        {"kid": kid}
        for kid in ("../../dev/null", "/dev/null", "' or 1=1 --", "x'; drop table users; --", "|id", "x" * 4000)
    ),
    *({"kid": kid} for kid in (None, 1, [], ["a"], {"a": 1}, True, "\0", "\ud800")),
]

# In iat and nbf: what is earlier than now is valid there.
FUTURE_OR_NO_TIME = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 4000, "null", '""', '"soon"', "[]", "{}"]
FUTURE_OR_NO_TIME += ["[[[[1]]]]", '"' + "9" * 4000 + '"']


def signed_with(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """A token with this header, its signature an HMAC with SHA-256."""
    return sign_bytes(header, json.dumps(claims).encode(), key)


async def _refused(visitor: Visitor, outcome: Outcome, tokens: Iterable[str], what: str) -> None:
    """Send each token as a bearer token: all must be refused, none may cause a 500."""
    waiting = iter(tokens)
    slowest = 0.0

    async def send(_: int) -> None:
        nonlocal slowest
        for token in waiting:
            began = time.perf_counter()
            status, body = await visitor.ask("GET", ME, token=f"Bearer {token}")
            slowest = max(slowest, time.perf_counter() - began)
            outcome.expect(status in REFUSALS, f"{what}: {status} {str(body)[:60]} for {_shown(token)}")

    await all_at_once(AT_ONCE, send)
    outcome.worst = f"slowest answer {max(slowest * 1000, _worst_ms(outcome)):.0f} ms with {AT_ONCE} at once"


def _shown(token: str) -> str:
    try:
        return _bytes_of(token.split(".")[1])[:300].decode(errors="replace")
    except (IndexError, ValueError):
        return token[:60]


def _worst_ms(outcome: Outcome) -> float:
    found = re.search(r"slowest answer (\d+) ms", outcome.worst)
    return float(found[1]) if found else 0.0


@attack(rules="12")
async def forged_algorithms(stage: Stage, outcome: Outcome) -> None:
    """Takes a valid token and states another algorithm, keeps or drops its signature, or signs with known keys."""
    async with Visitor(stage.service()) as visitor:
        anna = await visitor.register("algorithms")
        claims = claims_of(anna["access"])
        signature = anna["access"].rpartition(".")[2]
        keys = [
            "",
            "secret",
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----",
            "x" * 32,
            "\0",
        ]

        def tokens() -> Iterator[str]:
            for algorithm in ALGORITHMS:
                header = {"alg": algorithm, "typ": "JWT"}
                own = signed_with(header, claims, "x" * 32).rpartition(".")[0]
                yield from (f"{own}.", own, f"{own}.{signature}", f"{own}.AA", f"{own}..")
                yield from (signed_with(header, claims, key) for key in keys)
                yield sign_bytes(header, json.dumps(claims).encode())  # with the service's own key
            yield from (signed_with({"alg": "HS256", "typ": "JWT"}, claims, key) for key in keys)
            for size in ("1", "224", "384", "512", "3_256"):  # another HMAC, with the service's own key
                payload = json.dumps(claims).encode()
                yield sign_bytes({"alg": f"HS{size}", "typ": "JWT"}, payload, digest=f"sha{size}")
                yield sign_bytes({"alg": "HS256", "typ": "JWT"}, payload, digest=f"sha{size}")
            yield from (signed_with(header, claims, "x" * 32) for header in ({}, {"typ": "JWT"}))

        await _refused(visitor, outcome, tokens(), "algorithm")


@attack(rules="12")
async def forged_header_fields(stage: Stage, outcome: Outcome) -> None:
    """Adds critical, encryption and key fields to the header of a token, signed with the right key or a wrong one."""
    async with Visitor(stage.service()) as visitor:
        anna = await visitor.register("fields")
        claims = claims_of(anna["access"])
        payload = json.dumps(claims).encode()

        def refused() -> Iterator[str]:
            for fields in HEADER_FIELDS:
                yield sign_bytes({"alg": "HS256", "typ": "JWT"} | fields, payload)
            for fields in IGNORED_FIELDS:
                yield signed_with({"alg": "HS256", "typ": "JWT"} | fields, claims, "A" * 32)
                yield signed_with({"alg": "none"} | fields, claims, "").rpartition(".")[0] + "."

        await _refused(visitor, outcome, refused(), "header field")
        for fields in IGNORED_FIELDS:  # signed rightly: the field is ignored or the token refused
            token = sign_bytes({"alg": "HS256", "typ": "JWT"} | fields, payload)
            status, _ = await visitor.ask("GET", ME, token=f"Bearer {token}")
            outcome.expect(status in {200, *REFUSALS}, f"an ignored field: {status} for {fields}")


@attack(rules="12, 15")
async def changed_characters(stage: Stage, outcome: Outcome) -> None:
    """Replaces, removes and repeats single characters of a valid token; only other spellings of the same bytes pass."""
    async with Visitor(stage.service()) as visitor:
        token = (await visitor.register("characters"))["access"]
        head, _, signature = token.rpartition(".")
        step = stage.choose(1, 9)

        def same(other: str) -> bool:
            try:
                return _bytes_of(other.rpartition(".")[2]) == _bytes_of(signature) and other.rpartition(".")[0] == head
            except ValueError:
                return False

        def tokens() -> Iterator[str]:
            for place in range(0, len(token), step):
                others = LETTERS if place > len(head) else LETTERS[place % 7 :: 7]
                for letter in others:
                    if letter != token[place]:
                        yield f"{token[:place]}{letter}{token[place + 1 :]}"
                yield token[:place] + token[place + 1 :]
                yield token[:place] + token[place] + token[place:]

        spellings = [each for each in tokens() if same(each)]
        await _refused(visitor, outcome, (each for each in tokens() if not same(each)), "changed character")
        status, _ = await visitor.post("/auth/jwt/blacklist/", refresh=(await visitor.sign_in("characters"))["refresh"])
        outcome.expect(status == 200, f"blacklist: {status}")
        # The session of `token` ends: every spelling of it is refused as well.
        sid = claims_of(token)["sid"]
        await visitor.ask("DELETE", f"/auth/sessions/{sid}/", token=token)
        await _refused(visitor, outcome, [token, *spellings], "spelling of a revoked token")


def _bytes_of(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@attack(rules="13")
async def hostile_claims(stage: Stage, outcome: Outcome) -> None:
    """Signs hostile claims with the service's own key: times that are none, deep nesting, megabytes; never a 500."""
    async with Visitor(stage.service()) as visitor:
        claims = claims_of((await visitor.register("claims"))["access"])
        text = json.dumps(claims)
        header = {"alg": "HS256", "typ": "JWT"}
        words = [*FUTURE_OR_NO_TIME, "true", "-9" + "9" * 400, "1e-400", "-1", "0", "0.1"]

        def tokens() -> Iterator[str]:
            for claim in ("exp", "nbf", "iat"):
                for word in words if claim == "exp" else FUTURE_OR_NO_TIME + ["4000000000"] * (claim == "nbf"):
                    changed = json.dumps(claims | {claim: "@@"}).replace('"@@"', word)
                    yield sign_bytes(header, changed.encode())
            for claim in ("user_id", "sid", "jti", "token_type"):
                for word in ("null", "[]", "{}", "1.5", "-1", "9" * 400, '"\\u0000"', '"\\ud800"', '""', "true"):
                    if claim != "jti":
                        yield sign_bytes(header, json.dumps(claims | {claim: "@@"}).replace('"@@"', word).encode())
                yield sign_bytes(header, json.dumps({key: claims[key] for key in claims if key != claim}).encode())
            for raw in (b"", b"null", b"[]", b"1", b'"x"', b"\xff\xfe", b"{", b"\0", b"[" * 3000, b'{"a":' * 1000):
                yield sign_bytes(header, raw)
            yield from ("x", ".", "..", "...", "a.b", "a.b.c", "é.é.é", "e30.e30.e30", "[" * 3000, "x" * 7000)

        await _refused(visitor, outcome, tokens(), "claims")
        await _in_bodies(visitor, outcome, text, header)


async def _in_bodies(visitor: Visitor, outcome: Outcome, text: str, header: dict[str, Any]) -> None:
    """A body holds what no header can: 1 MB, and 100,000 levels."""
    deep = [sign_bytes(header, b"[" * 100_000), sign_bytes(header, b'{"a":' * 50_000)]
    large = ["x" * 1_000_000, sign_bytes(header, b" " * 700_000), sign_bytes(header | {"kid": "x" * 700_000}, b"{}")]
    large.append(sign_bytes(header, text.replace("{", '{"x": "' + "y" * 600_000 + '", ', 1).encode()))
    for path, name in (("verify", "token"), ("refresh", "refresh"), ("blacklist", "refresh")):
        for token in [*deep, *large[:-1], *(large[-1:] if path != "verify" else [])]:
            status, body = await visitor.post(f"/auth/jwt/{path}/", **{name: token})
            outcome.expect(status in {400, 401, 413}, f"{path}: {status} {str(body)[:60]} for {len(token)} bytes")


def _signed_in_routes() -> list[tuple[str, str]]:
    """Path and method of each endpoint that needs a signed-in caller."""
    lines = [line.split() for line in (ROOT / "tests" / "routes.txt").read_text().splitlines()]
    return [
        (path, method) for path, method, access, *more in lines if method != "*" and access != "ANONYMOUS" and not more
    ]


@attack(rules="14, 16")
async def tokens_of_another_kind(stage: Stage, outcome: Outcome) -> None:
    """Sends every kind of token (access, refresh, API, of four letters) to every endpoint that wants another kind."""
    service = stage.service(SEND_ACTIVATION_EMAIL="true")
    async with Visitor(service) as visitor:
        await visitor.post("/auth/users/", username="kinds", password=PASSWORD, email="kinds@example.com")
        (activation,) = await read_links(service, 1, "kinds@example.com")
        activated = await visitor.post("/auth/users/activation/", **proof(activation))
        assert activated[0] == 204, activated
        pair = await visitor.sign_in("kinds")
        _, api = await visitor.post("/auth/token/login/", username="kinds", password=PASSWORD)
        for path in ("reset_password", "reset_username"):
            await visitor.post(f"/auth/users/{path}/", email="kinds@example.com")
        await visitor.ask("PATCH", ME, token=pair["access"], json={"email": "other@example.com"})
        links = await read_links(service, 3, "kinds@example.com", "other@example.com")
        mailed = [each["token"] for each in (activation, *links)]
        kinds = {"refresh": pair["refresh"], "api": api["auth_token"]}
        kinds |= {f"mailed {number}": token for number, token in enumerate(mailed)}
        wrong = [f"Bearer {token}" for token in kinds.values()] + [f"JWT {token}" for token in kinds.values()]
        wrong += [f"Token {token}" for name, token in kinds.items() if name != "api"] + [f"Token {pair['access']}"]
        for path, method in _signed_in_routes():
            filled = path.replace("{id}", "1").replace("{session}", claims_of(pair["access"])["sid"])
            for header in wrong:
                status, body = await visitor.ask(method, filled, token=header, json={})
                outcome.expect(status == 401, f"{method} {path} with {header[:40]}…: {status} {str(body)[:50]}")
        for path, name in (("verify", "token"), ("refresh", "refresh"), ("blacklist", "refresh")):
            for kind, token in (kinds | {"access": pair["access"]}).items():
                if kind == name or (path == "verify" and kind in ("access", "refresh")):
                    continue
                status, _ = await visitor.post(f"/auth/jwt/{path}/", **{name: token})
                outcome.expect(status == 401, f"{kind} at {path}: {status}")
        await _links_elsewhere(visitor, outcome, links, {**kinds, "access": pair["access"]}, activation["uid"])
        for name in ("token", "access_token", "jwt", "access", "auth_token", "Authorization"):
            status, _ = await visitor.ask("GET", f"{ME}?{name}={pair['access']}")
            outcome.expect(status == 401, f"token in the query as {name}: {status}")
        status, _ = await visitor.ask("GET", ME, token=pair["access"])
        outcome.expect(status == 200, f"the session lives on: {status}")
        outcome.worst = f"{len(_signed_in_routes())} endpoints, {len(kinds) + 1} kinds"


async def _links_elsewhere(
    visitor: Visitor, outcome: Outcome, links: list[dict[str, str]], kinds: dict[str, str], uid: str
) -> None:
    """Each mailed token at each endpoint for another, and each token of a sign-in at all of them."""
    paths: dict[str, tuple[str, dict[str, str]]] = {
        "password_reset": ("/auth/users/reset_password_confirm/", {"new_password": "another staple gun"}),
        "username_reset": ("/auth/users/reset_username_confirm/", {"new_username": "kinds.new"}),
        "activation": ("/auth/users/activation/", {}),
    }
    for right, (path, more) in paths.items():
        others = [each["token"] for each in links if each["kind"] != right]
        for token in [*others, kinds["refresh"], kinds["access"], kinds["api"]]:
            status, _ = await visitor.post(path, uid=uid, token=token, **more)
            outcome.expect(status in (400, 403), f"a token of another kind at {path}: {status}")


@attack(rules="17")
async def claims_of_many_tokens(stage: Stage, outcome: Outcome) -> None:
    """Reads the claims of the tokens of many accounts: no address, no name, no hash."""
    async with Visitor(stage.service()) as visitor:
        for number in range(stage.choose(100, 10)):
            name = f"private{number}"
            anna = await visitor.register(name)
            for kind in ("access", "refresh"):
                written = json.dumps(claims_of(anna[kind]))
                private = [word for word in (name, "example.com", "bcrypt", "$2b$", PASSWORD) if word in written]
                outcome.expect(not private, f"{kind} has {private}")
    outcome.worst = "claims " + ", ".join(sorted(claims_of(anna["access"])))
