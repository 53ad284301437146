"""What `check` finds about the replicas of REPLICA_URL: whether they are used, how far they lag, their schema."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

from server.commands.findings import Finding, fault, fine, warning
from server.database import migrate
from server.database.database import Database
from server.database.failures import reason_of
from server.database.outages import Outages
from server.database.replica import MAX_LAG_SECONDS, OPEN_SECONDS, hosts_of, unfit
from server.errors import StartError, Unavailable
from server.settings.database_url import DatabaseUrl
from server.settings.settings import Settings

CATCH_UP_SECONDS = 2.0  # for a replica to replay what the primary has now; longer ones are estimated
POLL_SECONDS = 0.05
ADVICE = "its reads go to the primary; see its log and pg_stat_replication of the primary"


class _Silent(Outages):
    """Says nothing: the failure is a finding."""

    def add(self, failure: Exception) -> None: ...


async def findings(primary: Database, settings: Settings) -> AsyncIterator[Finding]:
    """The state of each host of REPLICA_URL. Raises Unavailable when the primary does not respond."""
    for host in hosts_of(settings.replica_url) if settings.replica_url else []:
        name = f"{host.hosts[0]}:{host.ports[0]}"
        # A server that can be written to is to be looked at, too.
        anyhow = dataclasses.replace(host, more={**host.more, "target_session_attrs": "any"})
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                replica = await _open(anyhow, settings)
        except (Unavailable, StartError, TimeoutError) as failure:
            cause = failure.__cause__ if isinstance(failure, Unavailable) else failure
            text = reason_of(cause) if isinstance(cause, Exception) else "it does not respond"
            yield fault("replica", f"{name} cannot be used: {text}", ADVICE)
            continue
        try:
            async with asyncio.timeout(OPEN_SECONDS + CATCH_UP_SECONDS):
                yield await _state(name, primary, replica)
        except (Unavailable, TimeoutError):
            yield fault("replica", f"{name} does not respond", ADVICE)
        finally:
            replica.terminate()


async def _open(host: DatabaseUrl, settings: Settings) -> Database:
    return await Database.open(host, connections=2, pooler=settings.database_pooler, outages=_Silent())


async def _state(name: str, primary: Database, replica: Database) -> Finding:
    wanted, began = await primary.row("replica/state"), time.monotonic()
    assert wanted is not None
    while True:
        asked_at = time.monotonic()
        row = await replica.row("replica/state")
        assert row is not None
        if reason := unfit(row, wanted):
            return fault("replica", f"{name} {reason}", "name only replicas of DATABASE_URL in REPLICA_URL")
        if row["position"] >= wanted["position"]:
            lag = asked_at - began
            break
        if asked_at - began > CATCH_UP_SECONDS:
            lag = max(CATCH_UP_SECONDS, row["seconds"] or 0.0)
            break
        await asyncio.sleep(POLL_SECONDS)
    schema = await replica.row("schema/state")
    missing = sorted(set(migrate.names()) - set(schema["applied"] if schema else ()))
    text = f"{name} only reads, lags by {lag:.1f} s"
    if missing:
        return warning(
            "replica", f"{text}, and lacks migrations: {', '.join(missing)}", "they are replayed with the rest"
        )
    if lag > MAX_LAG_SECONDS:
        return fault("replica", f"{text}, more than {MAX_LAG_SECONDS:.0f} s", ADVICE)
    if lag >= CATCH_UP_SECONDS:
        return warning("replica", text, "see pg_stat_replication of the primary")
    return fine("replica", f"{text}, has every migration")
