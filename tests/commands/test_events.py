"""Acts of the operator are events that name the command."""

import pytest

from tests.commands.conftest import Run
from tests.conftest import PASSWORD, Person
from tests.rows import Connection

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("arguments", "kind"), [(["deactivate", "anna"], "deactivated"), (["activate", "anna"], "activated")]
)
async def test_an_event_names_the_command(
    anna: Person, database: Connection, run_process: Run, arguments: list[str], kind: str
) -> None:
    assert run_process(*arguments)[0] == 0
    row = database.execute("select kind, user_id, actor_id, command from events order by id desc limit 1").fetchone()
    assert row == {"kind": kind, "user_id": anna.id, "actor_id": None, "command": arguments[0]}


def test_a_new_staff_account_is_recorded(run: Run, database: Connection) -> None:
    assert run("create-admin", "Sofia", typed=PASSWORD + "\n")[0] == 0
    row = database.execute("select kind, actor_id, command, details from events").fetchone()
    assert row == {"kind": "registered", "actor_id": None, "command": "create-admin", "details": {"is_staff": True}}
