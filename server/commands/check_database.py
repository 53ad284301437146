"""What `check` finds about the database: server, rights, migrations, staff, letters, clock."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg

from server.commands import check_replica
from server.commands.database import connect, opened
from server.commands.findings import Finding, fault, fine, warning
from server.database import migrate
from server.database.database import Database
from server.errors import Unavailable
from server.settings.database_url import DatabaseUrl
from server.settings.settings import Settings

CLOCK_WARNING_SECONDS, CLOCK_FAULT_SECONDS = 2.0, 30.0
OVERDUE_SECONDS = 900.0  # for a letter; a try takes less than a minute


def findings(settings: Settings) -> list[Finding]:
    """Everything about the database. Changes nothing there. Raises StartError, Unavailable, BundledPostgresError."""
    with opened(settings) as (ready, _):
        return asyncio.run(_collect(ready))


async def _collect(settings: Settings) -> list[Finding]:
    db = await connect(settings)
    try:
        found = [each async for each in _server(db)]
        rights = [each async for each in _rights(db, settings)]
        found += rights
        if any(each.is_fault for each in rights):  # nothing more can be read
            return found
        migrations = [each async for each in _migrations(db, settings)]
        found += migrations
        if not any(each.is_fault for each in migrations):  # else tables may be missing
            found += [each async for each in _contents(db, settings)]
        found += [each async for each in check_replica.findings(db, settings)]
        return found
    finally:
        await db.close()


async def _server(db: Database) -> AsyncIterator[Finding]:
    before = time.time()
    server = await db.row("check/server")
    assert server is not None
    yield fine("database", f"PostgreSQL {server['version']}")
    if server["is_read_only"]:
        yield fault("database", "it only reads", "name the primary in DATABASE_URL; it may be a replica or a full disk")
    if not server["has_fsync"]:
        yield warning("database", "fsync is off: a power cut may destroy it", "fsync should be on")
    if server["synchronous_commit"] == "off":
        yield warning("database", "synchronous_commit is off: a crash loses what was answered", "it should be on")
    yield _clock(server["seconds"] - (before + time.time()) / 2)


def _clock(ahead: float) -> Finding:
    """What the difference between the clocks of the database and of this machine means, in seconds."""
    text = f"that of the database is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) >= CLOCK_FAULT_SECONDS:
        return fault("clock", f"{text}: tokens expire too early or too late", "let both follow NTP")
    if abs(ahead) >= CLOCK_WARNING_SECONDS:
        return warning("clock", text, "let both follow NTP")
    return fine("clock", text)


async def _migrations(db: Database, settings: Settings) -> AsyncIterator[Finding]:
    try:
        row = await db.row("schema/state")
        assert row is not None
        applied = set(row["applied"])
    except Unavailable as failure:
        if not isinstance(failure.__cause__, asyncpg.UndefinedTableError):
            raise
        applied = set()
    missing, unknown = set(migrate.names()) - applied, applied - set(migrate.names())
    advice = "the next start applies them, or: migrate" if settings.migrate_on_start else "run: migrate"
    if unknown:
        yield fault("migrations", f"of a newer version: {', '.join(sorted(unknown))}", "install that version")
    if not applied:
        yield fault("migrations", "the schema is empty", advice)
    elif missing:
        yield fault("migrations", f"missing: {', '.join(sorted(missing))}", advice)
    elif not unknown:
        yield fine("migrations", f"all {len(applied)} applied")


async def _rights(db: Database, settings: Settings) -> AsyncIterator[Finding]:
    user = DatabaseUrl.read(settings.database_url).user
    rows = await db.rows("check/missing_rights")
    for row in rows:
        yield fault("rights", f"the role {user} lacks {row['missing']} on {row['name']}", row["statement"])
    if not rows and not settings.migrate_on_start and (refusal := await db.row("schema/missing_rights")):
        yield fault("rights", f"the role {user} may not use the tables of the schema", refusal["statement"])
        return
    grant = await db.row("schema/missing_grant")
    if grant is not None and settings.migrate_on_start:
        yield warning("rights", f"the role {user} may not migrate", f"another role migrates, or: {grant['statement']}")
    if not rows and grant is None:
        yield fine("rights", f"the role {user} may do what the service does")


async def _contents(db: Database, settings: Settings) -> AsyncIterator[Finding]:
    indexes = await db.row("check/indexes")
    assert indexes is not None
    if indexes["invalid"]:
        yield fault("indexes", f"not valid: {', '.join(indexes['invalid'])}", "REINDEX each")
    if indexes["has_unique_email"] != settings.unique_email:
        yield warning("indexes", "UNIQUE_EMAIL was changed since the last migration", "run: migrate")
    if await db.row("users/staff_left", None) is not None:
        yield warning("staff", "there is no active staff account", "run: create-admin NAME, or grant-staff NAME")
    else:
        yield fine("staff", "there is an active staff account; users --staff lists them")
    letters = await db.row("check/letters")
    assert letters is not None
    if letters["given_up"]:
        yield warning("letters", f"given up: {letters['given_up']}", "letters says why, letters --again tries again")
    if letters["overdue"] > OVERDUE_SECONDS:
        minutes = letters["overdue"] / 60
        yield warning("letters", f"one is due for {minutes:.0f} minutes", "no process sends: serve, or work")
    if not letters["given_up"] and letters["overdue"] <= OVERDUE_SECONDS:
        yield fine("letters", "none is late or given up")
