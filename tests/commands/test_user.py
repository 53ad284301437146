"""The commands user and users: one command answers why a person cannot sign in."""

import pytest

from tests.commands.conftest import Run
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import register
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow

NOTHING = "Nothing keeps it from signing in with the right password."
BCRYPT = "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuIvyWZlBcE3WoQXKqRnwrLYJ6nenE0Bq"


def verdict(said: str) -> list[str]:
    """The lines of the last part: why the account cannot sign in."""
    return [line.strip() for line in said.rpartition("\n\n")[2].splitlines()]


def use_up(database: Connection, key: str) -> None:
    """Use up a limit, for as long as it may be."""
    database.execute("insert into limits (key, drained_at) values (%s, now() + interval '1 hour')", [key])


@pytest.fixture
def account(database: Connection) -> int:
    """An account that can sign in: its id."""
    row = only_row(
        database,
        "insert into users (username, email, password) values ('anna', 'anna@example.com', %s) returning id",
        BCRYPT,
    )
    return int(row["id"])


async def test_user_shows_the_account_its_sessions_and_its_last_events(run_process: Run, anna: Person) -> None:
    status, said, told = run_process("user", "anna")
    assert (status, told) == (0, "")
    assert said.splitlines()[0] == f"Account {anna.id}"
    for part in ("anna@example.com", "active", "bcrypt_sha256", "Sessions: 1", "signed_in", "registered", "127.0.0.1"):
        assert part in said
    assert "$2b$" not in said
    assert verdict(said) == [NOTHING]


def test_reading_an_account_is_no_act(run: Run, database: Connection, account: int) -> None:
    before = only_row(database, "select * from users")
    assert run("user", "anna")[0] == 0
    assert (only_row(database, "select * from users"), count(database, "events")) == (before, 0)


def test_a_deactivated_account_is_said_to_be_with_who_did_it(run: Run, database: Connection, account: int) -> None:
    run("deactivate", "anna")
    when = only_row(database, "select happened_at as at from events where kind = 'deactivated'")["at"]
    assert verdict(run("user", "anna")[1]) == [
        "It cannot sign in:",
        f"it is deactivated, since {when:%Y-%m-%d %H:%M:%SZ}, by command deactivate",
        "activate anna",
    ]


async def test_the_staff_account_that_deactivated_it_is_named(run_process: Run, anna: Person, staff: Person) -> None:
    await staff.patch(f"/auth/users/{anna.id}/", {"is_active": False})
    assert verdict(run_process("user", "anna")[1])[1].endswith(f", by account {staff.id}")


@in_mode("activation")
async def test_an_account_that_waits_says_what_became_of_its_letter(
    run_process: Run, client: Client, letters: Letters, database: Connection
) -> None:
    await register(client)

    def reason() -> str:
        return verdict(run_process("user", "anna")[1])[1]

    assert reason() == "it waits for its activation: the letter waits: it is sent soon"
    database.execute("update letters set given_up_at = now(), fault = '550 no such mailbox'")
    assert reason() == "it waits for its activation: the letter was given up: 550 no such mailbox"
    database.execute("update letters set given_up_at = null")
    await letters()
    assert reason().startswith("it waits for its activation: the letter was sent, its link is valid until ")
    database.execute("update one_time_tokens set expires_at = now()")
    assert reason().startswith("it waits for its activation: the letter was sent, its link expired ")
    database.execute("delete from one_time_tokens")
    assert reason() == "it waits for its activation: it has no valid link"


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("!", "it has no password, and gets no letter to reset one"),
        ("!x", "it has no password, and gets no letter to reset one"),
        ("", "it has no password, and gets no letter to reset one"),
        (
            "md5$salt$0123",
            "no password fits its hash (md5): it is damaged, too costly or of an unknown format",
        ),
    ],
)
def test_a_password_that_cannot_fit_is_said(
    run: Run, database: Connection, account: int, stored: str, reason: str
) -> None:
    database.execute("update users set password = %s", [stored])
    said = verdict(run("user", "anna")[1])
    assert said[1] == reason
    assert "set-password anna" in said[2]


@pytest.mark.parametrize(
    ("row", "login_field", "said"),
    [
        (("anna", ""), "email", "people sign in with their address (LOGIN_FIELD=email), and it has none"),
        (
            (None, "a@x.example"),
            "username",
            "people sign in with their username (LOGIN_FIELD=username), and it has none",
        ),
        (("anna", ""), "either", NOTHING),
    ],
)
def test_an_account_without_what_people_sign_in_with_is_said_to_be(
    run: Run, database: Connection, row: tuple[str | None, str], login_field: str, said: str
) -> None:
    database.execute("insert into users (username, email, password) values (%s, %s, %s)", [*row, BCRYPT])
    assert said in verdict(run("user", row[0] or row[1], LOGIN_FIELD=login_field, MIGRATE_ON_START="false")[1])


async def test_too_many_wrong_passwords_are_said_with_the_wait_and_what_ends_it(
    run_process: Run, client: Client, anna: Person, database: Connection
) -> None:
    for _ in range(10):
        await post(client, "/auth/jwt/create/", username="anna", password="wrong")
    said = verdict(run_process("user", "anna")[1])
    assert said[1].startswith("too many wrong passwords from 127.0.0.1/32: refused for ")
    assert said[2:] == ["unlock anna", "Refused since its last sign-in:", "wrong password: 10 of the last 12 events"]
    run_process("unlock", "anna")
    assert verdict(run_process("user", "anna")[1])[0] == NOTHING
    database.execute(
        "insert into limits (key, drained_at) values (%s, now() + interval '1 hour')", [f"sign-in account {anna.id}"]
    )
    assert "from networks that it did not sign in from before" in verdict(run_process("user", "anna")[1])[1]


async def test_wrong_passwords_below_the_limit_are_a_hint(run_process: Run, client: Client, anna: Person) -> None:
    for _ in range(9):
        await post(client, "/auth/jwt/create/", username="anna", password="wrong")
    assert verdict(run_process("user", "anna")[1]) == [
        *(NOTHING, "Refused since its last sign-in:", "wrong password: 9 of the last 11 events"),
    ]
    await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD)
    assert verdict(run_process("user", "anna")[1]) == [NOTHING]


def test_a_network_that_is_refused_is_said(run: Run, database: Connection, account: int) -> None:
    database.execute(
        "insert into events (kind, user_id, address) values ('sign_in_refused', %s, '192.0.2.7')", [account]
    )
    database.execute(
        "insert into limits (key, drained_at) values ('sign-in from 192.0.2.7/32', now() + interval '1 hour')"
    )
    database.execute(
        "insert into limits (key, drained_at) values ('sign-in from 192.0.2.8/32', now() + interval '1 hour')"
    )
    said = verdict(run("user", "anna")[1])
    assert said[1].startswith("too many wrong passwords of its network 192.0.2.7/32: refused for ")
    assert said[2] == "unlock 192.0.2.7"
    assert "192.0.2.8" not in "".join(said)


def test_every_reason_is_said_at_once(run: Run, database: Connection, account: int) -> None:
    database.execute("update users set is_active = false, password = '!'")
    said = verdict(run("user", "anna")[1])
    assert [line for line in said if line.startswith("it ")] == [
        *("it is deactivated", "it has no password, and gets no letter to reset one"),
    ]


def test_an_unknown_name_is_told_with_names_that_are_alike(run: Run, database: Connection, account: int) -> None:
    for name in ("anna.k", "anna@example.org", "ann"):
        status, _, told = run("user", name)
        assert (status, told.splitlines()) == (
            1,
            [f"There is no account named {name}.", "Alike: anna (anna@example.com)."],
        )


def test_a_deleted_account_is_told_with_who_deleted_it(run: Run, database: Connection, account: int) -> None:
    run("delete", "anna", "--yes")
    _, _, told = run("user", str(account))
    assert told.splitlines()[1].startswith(f"Account {account} was deleted, ")
    assert told.splitlines()[1].endswith(", by command delete.")


def test_what_is_stored_cannot_forge_a_line(run: Run, database: Connection, account: int) -> None:
    database.execute(
        "insert into sessions (user_id, expires_at, device) values (%s, 'infinity', E'x\\nForged: \\u202e')".replace(
            "'infinity'", "now() + interval '1 day'"
        ),
        [account],
    )
    database.execute("update users set username = E'anna\\nForged: yes'")
    for command in (["user", "anna@example.com"], ["users"]):
        said = run(*command)[1]
        assert "\\nForged" in said
        assert [line for line in said.splitlines() if line.startswith("Forged")] == []


def listed(said: str) -> list[str]:
    """The ids of a list."""
    return [line.split()[1] for line in said.splitlines()[1:]]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["waiting", "old", "sofia", "anna"]),
        (["--search", "ANN"], ["anna"]),
        (["--search", "anna@example"], ["anna"]),
        (["--staff"], ["sofia"]),
        (["--inactive"], ["waiting", "old"]),
        (["--waiting"], ["waiting"]),
        (["--staff", "--search", "anna"], []),
    ],
)
def test_users_lists_accounts_the_newest_first(
    run: Run, database: Connection, account: int, options: list[str], names: list[str]
) -> None:
    database.execute(
        "insert into users (username, is_staff, is_active, awaits_activation) values ('sofia', true, true, false),"
        " ('old', false, false, false), ('waiting', false, false, true)"
    )
    status, said, _ = run("users", *options)
    assert status == 0
    assert listed(said) == (names or ["account."])


def test_users_says_how_to_go_on(run: Run, database: Connection) -> None:
    database.execute("insert into users (username) select 'p' || n from generate_series(1, 3) n")
    first = run("users", "--limit", "2")[1]
    assert listed(first)[:2] == ["p3", "p2"]
    after = first.splitlines()[-1].removeprefix("There are more: add --after ").removesuffix(".")
    assert listed(run("users", "--limit", "2", "--after", after)[1]) == ["p1"]


@pytest.mark.parametrize("options", [["--limit", "0"], ["--limit", "1001"], ["--after", "-1"], ["--search", "x" * 101]])
def test_users_refuses_wrong_bounds(run: Run, database: Connection, options: list[str]) -> None:
    assert run("users", *options)[0] == 1
