"""A copy of the whole database does not let anyone sign in, activate or reset an account (security 18)."""

import base64
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ACTIVATION,
    ASKED_AT,
    DONE,
    EMAIL_CHANGE,
    ENDPOINTS,
    NEW_PASSWORD,
    PASSWORD_RESET,
    USERNAME_RESET,
    activated,
    asked_by,
    confirm,
    link,
    register,
)
from tests.logs import written as written_log
from tests.rows import Connection

in_activation = in_mode("activation")


def columns(database: Connection) -> Iterator[tuple[str, Any]]:
    """Every value of every table, with its table and column."""
    tables = database.execute("select tablename as name from pg_tables where schemaname = 'public'").fetchall()
    assert len(tables) > 5
    for table in tables:
        for row in database.execute(f"select * from {table['name']}").fetchall():
            yield from ((f"{table['name']}.{name}", value) for name, value in row.items())


def written(value: Any) -> set[str]:
    """The texts that a token made from a stored value could have."""
    if not isinstance(value, bytes):
        return {str(value), *str(value).split("$")} - {""}
    hexadecimal = value.hex()
    text = base64.urlsafe_b64encode(value).decode()
    return {hexadecimal, hexadecimal[:40], text, text.rstrip("=")}


async def accepted_by(client: Client, uid: str, word: str) -> list[str]:
    """The places that accept `word` as a token or password of any kind."""
    found = []
    for keyword in ("Bearer", "Token"):
        headers = {"Authorization": f"{keyword} {word.encode('unicode_escape').decode()}"}
        if (await client.get("/auth/users/me/", headers=headers)).status == 200:
            found.append(keyword)
    for name, field in (("refresh", "refresh"), ("verify", "token"), ("blacklist", "refresh")):
        if (await post(client, f"/auth/jwt/{name}/", **{field: word}))[0] == 200:
            found.append(name)
    for path, more in ENDPOINTS.items():
        if (await post(client, path, uid=uid, token=word, **more))[0] != 400:
            found.append(path)
    for path in ("/auth/jwt/create/", "/auth/token/login/"):
        if (await post(client, path, username="anna", password=word))[0] == 200:
            found.append(path)
    return found


async def use_every_proof(client: Client, letters: Letters) -> tuple[Person, list[str]]:
    """An account that has used every kind of proof, and all its passwords and tokens, past and present."""
    anna = await activated(client, letters)
    first = await asked_by(anna, letters, PASSWORD_RESET)
    assert await confirm(client, PASSWORD_RESET, first, new_password=PASSWORD) == DONE
    anna = await Person(client, "anna", anna.id).sign_in()
    _, response = await post(client, "/auth/token/login/", username="anna", password=PASSWORD)
    proofs = [*anna.tokens.values(), response["auth_token"], first["token"]]
    for kind in (EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET):
        proofs.append((await asked_by(anna, letters, kind))["token"])
    await register(client, "boris")
    proofs.append((await link(letters, "boris@example.com"))["token"])
    return anna, [*proofs, PASSWORD, NEW_PASSWORD]


async def queue_letters(anna: Person) -> None:
    """Queue letters with and without links."""
    for kind in (PASSWORD_RESET, USERNAME_RESET):
        assert await post(anna.client, ASKED_AT[kind], email="anna@example.com") == DONE
    assert await post(anna.client, ASKED_AT[ACTIVATION], email="boris@example.com") == DONE
    assert (await anna.patch("/auth/users/me/", {"email": "other@example.com"}))[0] == 200
    await register(anna.client, "clara")


@in_activation
async def test_no_proof_is_stored_in_any_form(client: Client, letters: Letters, database: Connection) -> None:
    anna, proofs = await use_every_proof(client, letters)
    await queue_letters(anna)
    seen = 0
    for place, value in columns(database):
        seen += 1
        for proof in proofs:
            assert proof not in str(value), place
            assert not isinstance(value, bytes) or proof.encode() not in value, place
            assert not (written(value) & {proof}), place
    assert seen > 50


@in_activation
async def test_no_stored_value_is_accepted_anywhere(client: Client, letters: Letters, database: Connection) -> None:
    anna, _ = await use_every_proof(client, letters)
    await queue_letters(anna)
    uid = base64.urlsafe_b64encode(str(anna.id).encode()).decode()
    assert await accepted_by(client, uid, anna.tokens["access"]) == ["Bearer", "verify"], (
        "this test must notice a token that is accepted"
    )
    words = {word: place for place, value in columns(database) for word in written(value)}
    assert len(words) > 30
    for word, place in words.items():
        assert await accepted_by(client, uid, word) == [], place
    assert (await anna.get("/auth/users/me/"))[0] == 200


@in_mode("activation", access_log=True)
async def test_no_proof_is_logged(client: Client, letters: Letters, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "server"):
        _, proofs = await use_every_proof(client, letters)
        for proof in proofs:  # also where it is refused
            await accepted_by(client, "MQ", proof)
    assert len(caplog.records) > 50
    for proof in proofs:
        assert proof not in written_log(caplog)


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "waiting"])
@in_activation
async def test_the_queue_holds_no_link(client: Client, letters: Letters, database: Connection, sent: bool) -> None:
    await register(client)
    before = str(list(columns(database)))
    (letter,) = await letters()
    held = before if not sent else str(list(columns(database)))
    assert letter.uid_and_token["token"] not in held
    assert letter.link not in held
    assert database.execute("select from letters").fetchall() == []
