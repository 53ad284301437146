"""The command unlock: an account or a network may try again at once after too many wrong passwords."""

import pytest

from tests.commands.conftest import Run
from tests.conftest import PASSWORD, Client, Person, post
from tests.rows import Connection, count

pytestmark = pytest.mark.slow


async def guess_until_refused(client: Client) -> None:
    statuses = [(await post(client, "/auth/jwt/create/", username="anna", password="wrong"))[0] for _ in range(11)]
    assert statuses == [*[401] * 10, 429]


@pytest.mark.parametrize("name", ["anna", "ANNA", "anna@example.com"])
async def test_an_account_may_sign_in_at_once(
    run_process: Run, client: Client, anna: Person, database: Connection, name: str
) -> None:
    database.execute("delete from sign_in_networks")
    await guess_until_refused(client)
    assert run_process("unlock", name) == (0, f"Account {name} may sign in again.\n", "")
    assert (await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0] == 200
    row = database.execute("select user_id, command from events where kind = 'unlocked'").fetchone()
    assert row == {"user_id": anna.id, "command": "unlock"}


async def test_a_known_network_of_the_account_is_unlocked_too(run_process: Run, client: Client, anna: Person) -> None:
    await guess_until_refused(client)
    assert run_process("unlock", "anna")[0] == 0
    assert (await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0] == 200


async def test_other_accounts_stay_locked(run_process: Run, client: Client, anna: Person, database: Connection) -> None:
    database.execute("insert into limits (key, drained_at) values (%s, now())", [f"sign-in account {anna.id}0"])
    run_process("unlock", "anna")
    assert count(database, "limits") == 1


@pytest.mark.parametrize(("name", "network"), [("192.0.2.1", "192.0.2.1/32"), ("2001:db8::1", "2001:db8::/64")])
def test_a_network_may_try_again(run: Run, database: Connection, name: str, network: str) -> None:
    database.execute("insert into limits (key, drained_at) values (%s, 'infinity')", [f"sign-in from {network}"])
    assert run("unlock", name) == (0, f"Network {network} may sign in again.\n", "")
    assert count(database, "limits") == 0


def test_an_unknown_name_is_told(run: Run, database: Connection) -> None:
    assert run("unlock", "unknown") == (1, "", "There is no account named unknown.\n")


def test_an_ipv4_address_that_is_written_as_ipv6_is_that_network(run: Run, database: Connection) -> None:
    assert run("unlock", "::ffff:10.77.0.1")[1] == "Network 10.77.0.1/32 may sign in again.\n"


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("192.0.2.1/32", "192.0.2.1/32"),
        ("192.0.2.1:8080", "192.0.2.1/32"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("2001:db8::1/128", "2001:db8::/64"),
        ("2001:db8::/64", "2001:db8::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.1/128", "192.0.2.1/32"),
    ],
)
def test_a_network_is_named_as_logs_and_events_have_it(run: Run, name: str, network: str) -> None:
    assert run("unlock", name) == (0, f"Network {network} may sign in again.\n", "")


@pytest.mark.parametrize("name", ["10.0.0.0/24", "10.0.0.5/24", "2001:db8::/48", "::ffff:10.0.0.0/120"])
def test_a_wider_network_is_refused(run: Run, name: str) -> None:
    assert run("unlock", name) == (
        *(1, ""),
        f"{name} is wider than the networks that wrong passwords are counted for, which are one IPv4 address or the /64"
        " of an IPv6 address: name an address.\n",
    )


@pytest.mark.parametrize("name", ["10.0.0.1/33", "10.0.0:80", "[anna]", "[]", "1.2.3.4:"])
def test_what_is_no_network_is_a_name(run: Run, name: str) -> None:
    assert run("unlock", name) == (1, "", f"There is no account named {name}.\n")


def test_an_address_that_is_also_a_username_is_neither(run: Run, database: Connection) -> None:
    row = database.execute("insert into users (username) values ('192.0.2.1') returning id").fetchone()
    database.execute("insert into limits (key, drained_at) values ('sign-in from 192.0.2.1/32', 'infinity')")
    assert row is not None
    assert run("unlock", "192.0.2.1") == (
        *(1, ""),
        f"192.0.2.1 is the username of account {row['id']}, and an IP address: write id={row['id']} for the account, or"
        " 192.0.2.1/32 for the network.\n",
    )
    assert count(database, "limits") == 1
    assert run("unlock", f"id={row['id']}")[0] == 0
    assert run("unlock", "192.0.2.1/32")[0] == 0
    assert count(database, "limits") == 0
