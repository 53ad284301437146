"""The commands create-admin, deactivate and activate: their output, exit status and effect on the account."""

import getpass

import pytest

from tests.commands.conftest import Run, Terminal
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import ACTIVATION, STALE, confirm, link, register
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow

TYPED = PASSWORD + "\n"
NAME_TAKEN = (1, "", "An account with that name exists already.\n")
ADDRESS_TAKEN = (1, "", "An account with that e-mail address exists already.\n")
NOT_USERNAME = (
    "username: Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.\n"
)
NOT_EMAIL = "email: Enter a valid email address.\n"
WEAK = (
    "password: This password is too short. It must contain at least 8 characters.\n"
    "password: This password is too common.\n"
    "password: This password is entirely numeric.\n"
)


async def test_create_admin_makes_a_staff_account_that_can_sign_in(
    run_process: Run, client: Client, database: Connection
) -> None:
    made = run_process("create-admin", "Sofia", "--email", "sofia@EXAMPLE.com", typed=TYPED)
    assert made == (0, "Staff account Sofia made.\n", "")
    assert (await post(client, "/auth/jwt/create/", username="sofia", password=PASSWORD))[0] == 200
    row = only_row(database, "select is_staff, email from users")
    assert row == {"is_staff": True, "email": "sofia@example.com"}


def test_create_admin_makes_an_active_account_with_a_profile_and_no_letter(run: Run, database: Connection) -> None:
    switches = {"SEND_ACTIVATION_EMAIL": "true", "SEND_CONFIRMATION_EMAIL": "true", "MAIL_DIR": ".cache/mail"}
    ran = run("create-admin", "ｓｏｆｉａ", "--email", "sofia@example.com", typed=TYPED, **switches)
    assert ran == (0, "Staff account sofia made.\n", "")
    columns = "username, email, is_staff, is_active, awaits_activation, pending_email, language, role"
    assert only_row(database, f"select {columns} from users") == {
        "username": "sofia",
        "email": "sofia@example.com",
        "is_staff": True,
        "is_active": True,
        "awaits_activation": False,
        "pending_email": None,
        "language": "en",
        "role": None,
    }
    assert [count(database, table) for table in ("profiles", "role_fields", "letters", "sessions")] == [1, 0, 0, 0]


def test_create_admin_refuses_a_taken_username_and_a_taken_address(run: Run, database: Connection) -> None:
    assert run("create-admin", "Sofia", "--email", "sofia@example.com", typed=TYPED)[0] == 0
    for username in ("Sofia", "SOFIA", "ｓｏｆｉａ"):
        assert run("create-admin", username, typed=TYPED) == NAME_TAKEN
    for address in ("sofia@example.com", "Sofia@example.com", "SOFIA@EXAMPLE.COM"):
        assert run("create-admin", "other", "--email", address, typed=TYPED) == ADDRESS_TAKEN
    assert run("create-admin", "SOFIA", "--email", "sofia@example.com", typed=TYPED) == NAME_TAKEN
    assert count(database, "users") == 1


def test_create_admin_accepts_a_shared_address_without_unique_email(
    run: Run, shared_addresses: None, database: Connection
) -> None:
    for username in ("sofia", "boris"):
        ran = run("create-admin", username, "--email", "a@example.com", typed=TYPED, UNIQUE_EMAIL="false")
        assert ran == (0, f"Staff account {username} made.\n", "")
    assert count(database, "users") == 2


@pytest.mark.parametrize(
    ("arguments", "typed", "faults"),
    [
        (["sofia"], "12345", WEAK),
        (["so fia"], PASSWORD, NOT_USERNAME),
        ([""], PASSWORD, "username: This field may not be blank.\n"),
        (["sofia", "--email", "x"], PASSWORD, NOT_EMAIL),
        (["sofia"], "", "password: This field may not be blank.\n"),
        (["sofia-kowalska"], "kowalskaX1", "password: The password is too similar to the username.\n"),
        (["so fia", "--email", "x"], "12345", NOT_USERNAME + NOT_EMAIL),
    ],
)
def test_create_admin_reports_the_faults_that_registration_reports(
    run: Run, database: Connection, arguments: list[str], typed: str, faults: str
) -> None:
    assert run("create-admin", *arguments, typed=typed + "\n") == (1, "", faults)
    assert count(database, "users") == 0


def test_create_admin_with_login_by_email_requires_an_address(run: Run, database: Connection) -> None:
    status, _, faults = run("create-admin", "sofia", typed=TYPED, LOGIN_FIELD="email")
    assert (status, faults.partition(" ")[0], len(faults.splitlines())) == (1, "--email", 1)
    assert count(database, "users") == 0
    for given in (["--email", "sofia@example.com"], []):
        login = "email" if given else "either"
        assert run("create-admin", f"sofia{len(given)}", *given, typed=TYPED, LOGIN_FIELD=login)[0] == 0


@pytest.mark.parametrize(("repetition", "status"), [(PASSWORD, 0), (f"{PASSWORD} ", 1)])
def test_create_admin_at_a_terminal_reads_the_password_twice(
    run: Run, database: Connection, monkeypatch: pytest.MonkeyPatch, repetition: str, status: int
) -> None:
    entered = [PASSWORD, repetition]
    monkeypatch.setattr(getpass, "getpass", lambda prompt: entered.pop(0))
    ran = run("create-admin", "sofia", stdin=Terminal())
    assert ran == ((0, "Staff account sofia made.\n", "") if status == 0 else (1, "", "The two passwords differ.\n"))
    assert (entered, count(database, "users")) == ([], 1 - status)


async def test_an_account_is_deactivated_and_activated_by_any_spelling(run_process: Run, anna: Person) -> None:
    assert run_process("deactivate", "ANNA") == (0, "Account ANNA is deactivated.\n", "")
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "user_inactive"
    assert run_process("activate", "anna") == (0, "Account anna is active.\n", "")
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "token_not_valid"


@pytest.fixture
def account(database: Connection) -> dict[str, int]:
    """An account named Anna with a session and an API token, inserted in the database: its id."""
    row = only_row(database, "insert into users (username, email) values ('Anna', 'anna@example.com') returning id")
    database.execute("insert into sessions (user_id, expires_at) select id, now() + interval '1 day' from users")
    database.execute("insert into api_tokens (user_id, hash) select id, 'hash' from users")
    return row


def state(database: Connection) -> tuple[bool, int, bool, int]:
    """Whether the account is active, its sessions, whether it has an API token, and the queued letters."""
    token = only_row(database, "select hash from api_tokens")["hash"] is not None
    active = only_row(database, "select is_active from users")["is_active"] is True
    return active, count(database, "sessions"), token, count(database, "letters")


def test_deactivate_ends_sessions_and_api_token_and_activate_restores_neither(
    run: Run, database: Connection, account: dict[str, int]
) -> None:
    switches = {"SEND_ACTIVATION_EMAIL": "true", "SEND_CONFIRMATION_EMAIL": "true", "MAIL_DIR": ".cache/mail"}
    assert state(database) == (True, 1, True, 0)
    for _ in range(2):
        assert run("deactivate", "ａｎｎａ", **switches) == (0, "Account ａｎｎａ is deactivated.\n", "")
        assert state(database) == (False, 0, False, 0)
    for _ in range(2):
        assert run("activate", "ANNA", **switches) == (0, "Account ANNA is active.\n", "")
        assert state(database) == (True, 0, False, 0)


def test_activating_an_active_account_keeps_its_sessions_and_its_api_token(
    run: Run, database: Connection, account: dict[str, int]
) -> None:
    assert run("activate", "anna") == (0, "Account anna is active.\n", "")
    assert state(database) == (True, 1, True, 0)


@in_mode("activation")
async def test_activate_activates_an_account_that_waits_and_makes_its_link_stale(
    run_process: Run, client: Client, letters: Letters, database: Connection
) -> None:
    await register(client)
    given = await link(letters, "anna@example.com")
    assert run_process("activate", "anna") == (0, "Account anna is active.\n", "")
    assert only_row(database, "select is_active, awaits_activation from users") == {
        "is_active": True,
        "awaits_activation": False,
    }
    assert await confirm(client, ACTIVATION, given) == STALE
    assert (await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0] == 200
    assert await letters() == []


def test_a_missing_account_is_not_activated_or_deactivated(run_process: Run, run: Run, database: Connection) -> None:
    assert run_process("activate", "\udcff") == (1, "", "There is no account named \\udcff.\n")
    for command in ("activate", "deactivate"):
        assert run(command, "nobody") == (1, "", "There is no account named nobody.\n")
        assert run(command, "") == (1, "", "There is no account named .\n")
