"""Letters are queued with the act that they report, go to the right address, and the queue holds no token."""

import re
from typing import Any

import pytest

from server.auth.one_time_tokens import read_uid
from server.mail.letters import ACTIVATION, LETTER_KINDS, LINK_LETTER_KINDS, PASSWORD_RESET, USERNAME_RESET
from tests.mail.conftest import Office
from tests.mail.reading import Read, collect


async def sent(office: Office) -> list[Read]:
    await office.send()
    return collect(office.settings.letters_dir)


async def test_a_letter_is_rolled_back_with_the_act_that_it_reports(office: Office) -> None:
    anna = office.account()

    async def act() -> None:
        async with office.db.transaction() as transaction:
            await office.letters.queue(transaction, "confirmation", anna)
            await office.letters.queue_link(transaction, ACTIVATION, anna)
            await office.letters.queue_request(transaction, PASSWORD_RESET, "anna@example.com")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await act()
    assert office.queued() == []


@pytest.mark.parametrize("kind", LINK_LETTER_KINDS)
async def test_a_link_contains_a_token_of_its_purpose_that_works_once(office: Office, kind: str) -> None:
    anna = office.account(pending_email="new@example.com")
    await office.queue_link(kind, anna)
    (letter,) = await sent(office)
    uid, token = letter.link.split("/")[-2:]
    assert (read_uid(uid), letter.link.startswith(f"{office.settings.site_url}/")) == (anna, True)
    async with office.db.transaction() as transaction:
        assert await office.one_time_tokens.use(transaction, anna, token, *LINK_LETTER_KINDS) == kind
        assert await office.one_time_tokens.use(transaction, anna, token, *LINK_LETTER_KINDS) is None
    assert office.queued() == []


async def test_nothing_in_the_database_holds_a_token(office: Office) -> None:
    anna = office.account(pending_email="new@example.com")
    for kind in LINK_LETTER_KINDS:
        await office.queue_link(kind, anna)
    tables = office.rows.execute(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    kept = str(
        [office.rows.execute(f'select t::text from "{row["relname"]}" t').fetchall() for row in tables.fetchall()]
    )
    letters = await sent(office)
    assert len(letters) == len(LINK_LETTER_KINDS)
    for letter in letters:
        uid, token = letter.link.split("/")[-2:]
        assert token not in kept
        assert uid not in re.findall(r"[\w-]+", kept)


async def test_each_kind_of_letter_goes_to_its_address(office: Office) -> None:
    anna = office.account(email="Anna@example.com", pending_email="new@example.com")
    for kind in ("email_change", "password_reset"):
        await office.queue_link(kind, anna)
    for kind in ("email_pending", "email_changed"):
        await office.queue(kind, anna, "old@example.com")
    await office.queue("confirmation", anna)
    assert [(letter.to, letter.subject) for letter in await sent(office)] == [
        ("new@example.com", "Confirm your new e-mail address on Frontdesk"),
        ("Anna@example.com", "Password reset on Frontdesk"),
        ("old@example.com", "Frontdesk - A new e-mail address was asked for"),
        ("old@example.com", "Frontdesk - Your e-mail address has been changed"),
        ("Anna@example.com", "Frontdesk - Your account has been successfully created and activated!"),
    ]


async def test_an_account_without_an_address_gets_no_letter(office: Office) -> None:
    await office.queue("confirmation", office.account(email=""))
    assert (await sent(office), office.queued()) == ([], [])


@pytest.mark.parametrize(
    "act",
    [
        "update users set password = 'another'",
        "update users set email = 'other@example.com'",
        "update one_time_tokens set used_at = now()",
        "update one_time_tokens set expires_at = now()",
        "delete from users",
    ],
)
async def test_a_link_that_is_no_longer_valid_is_not_sent(office: Office, act: bytes) -> None:
    await office.queue_link(PASSWORD_RESET, office.account())
    office.rows.execute(act)
    assert (await sent(office), office.queued()) == ([], [])


async def test_only_the_latest_link_of_a_kind_is_sent(office: Office) -> None:
    anna = office.account()
    for kind in (PASSWORD_RESET, PASSWORD_RESET, USERNAME_RESET):
        await office.queue_link(kind, anna)
    assert [letter.subject for letter in await sent(office)] == [
        "Password reset on Frontdesk",
        "Username reset on Frontdesk",
    ]


async def test_a_request_queues_the_same_for_every_address_and_sends_only_to_the_stored_one(office: Office) -> None:
    office.account()
    asked = ["ANNA@example.com", "nobody@example.com", "аnna@example.com", ""]  # the third with a Cyrillic а
    for address in asked:
        await office.request(PASSWORD_RESET, address)
    rows = office.queued()
    assert [row["address"] for row in rows] == asked
    queued = {(row["kind"], row["user_id"], row["nonce"], row["tries"], row["fault"]) for row in rows}
    assert queued == {("password_reset", None, "", 0, None)}
    assert [letter.to for letter in await sent(office)] == ["anna@example.com"]
    assert office.queued() == []


@pytest.mark.parametrize(
    ("kind", "columns", "answered"),
    [
        (PASSWORD_RESET, {}, True),
        (USERNAME_RESET, {}, True),
        (PASSWORD_RESET, {"is_active": False}, False),
        (USERNAME_RESET, {"is_active": False, "awaits_activation": True}, False),
        (PASSWORD_RESET, {"password": "!"}, False),
        (ACTIVATION, {"is_active": False, "awaits_activation": True}, True),
        (ACTIVATION, {"is_active": False, "awaits_activation": True, "password": "!x"}, False),
        (ACTIVATION, {"is_active": False}, False),
        (ACTIVATION, {}, False),
    ],
)
async def test_a_request_is_answered_for_accounts_that_may_get_the_link(
    office: Office, kind: str, columns: dict[str, Any], answered: bool
) -> None:
    office.account(**columns)
    await office.request(kind, "anna@example.com")
    assert bool(await sent(office)) == answered


async def test_every_account_of_an_address_gets_a_letter_of_its_own(office: Office) -> None:
    office.rows.execute("drop index users_email_key")
    try:
        office.account("anna", email="both@example.com")
        office.account("boris", email="Both@example.com")
        await office.request(USERNAME_RESET, "both@example.com")
        letters = await sent(office)
    finally:
        office.rows.execute("delete from users")
        office.rows.execute("create unique index users_email_key on users (email_key) where email_key <> ''")
    assert [letter.to for letter in letters] == ["both@example.com", "Both@example.com"]
    assert ["anna" in letters[0].text, "boris" in letters[1].text] == [True, True]


async def test_a_request_that_fails_midway_is_answered_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.account()
    await office.request(PASSWORD_RESET, "anna@example.com")
    with monkeypatch.context() as patch:
        patch.setattr(office.one_time_tokens.__class__, "tokens", lambda self, nonce: 1 / 0)
        assert await sent(office) == []
    (row,) = office.queued()
    assert (row["user_id"], row["tries"], row["fault"].partition(" at ")[0]) == (
        None,
        1,
        "unforeseen ZeroDivisionError",
    )
    assert office.rows.execute("select * from one_time_tokens").fetchall() == []
    assert len(await sent(office)) == 1


def test_the_database_accepts_every_kind(office: Office) -> None:
    for kind in LETTER_KINDS:
        office.rows.execute("insert into letters (kind) values (%s)", [kind])
