"""Pages of links that work."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.auth.one_time_tokens import ACTIVATION, PASSWORD_RESET, USERNAME_RESET
from server.database.database import Database
from server.database.transaction import Transaction
from server.telemetry.logs import request_id
from tests.conftest import PASSWORD, Client, Person, post
from tests.web.page_reading import issue


@pytest.fixture
async def live_pages(client: Client, database: Any) -> tuple[str, ...]:
    """The pages of three links that work, of an account, dora, that waits for its activation."""
    status, user = await post(client, "/auth/users/", username="dora", password=PASSWORD, email="dora@example.com")
    assert status == 201
    statement = "update users set is_active = false, awaits_activation = true where id = %s"
    await asyncio.to_thread(database.execute, statement, [user["id"]])
    dora = Person(client, "dora", user["id"])
    return tuple([await issue(client, dora, purpose) for purpose in (ACTIVATION, PASSWORD_RESET, USERNAME_RESET)])


@pytest.fixture
def recorded_queries(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every statement that a request sends in a transaction or by itself, with its arguments."""
    queries = list[Any]()

    def recorded(query: Callable[..., Any]) -> Callable[..., Any]:
        def record(self: Any, *arguments: Any) -> Any:
            if request_id.get():  # background work, which queries too, has no request id
                queries.append(arguments)
            return query(self, *arguments)

        return record

    monkeypatch.setattr(Database, "rows", recorded(Database.rows))
    for name in ("row", "rows"):  # in a transaction they are independent
        monkeypatch.setattr(Transaction, name, recorded(getattr(Transaction, name)))
    return queries
