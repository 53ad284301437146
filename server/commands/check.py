"""`check`: look at everything that the service needs, and say what is wrong and what to do."""

import argparse
import asyncio
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from server.commands import check_database
from server.commands.failures import CommandError, reason_of_unavailable
from server.commands.findings import Finding, fault, fine, warning
from server.commands.serve import template_faults
from server.errors import StartError, Unavailable
from server.mail.delivery import DeliveryFailed, delivery_for
from server.postgres.bundled import BundledPostgresError
from server.postgres.system_user import foreign_owner, user_name
from server.process import interpreter
from server.process.serving import say
from server.settings.settings import Settings

LOW_ROUNDS = 10  # OWASP's least for bcrypt
FEW_CHARACTERS = 10  # different ones, of a key that a person typed
LOW_DISK_SHARE = 0.05

LEVELS = {"ok": logging.INFO, "warning": logging.WARNING, "FAULT": logging.ERROR}  # of a line of JSON


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Check settings, interpreter, key, database, letters and clock; status 1 when something is wrong."""
    wrong = 0
    for each in _findings(settings):
        _say(each)
        wrong += each.is_fault
    if wrong:
        raise CommandError(f"Faults: {wrong}.")


def _say(finding: Finding) -> None:
    """Two lines with an advice; in JSON one, so that a line has all that is said about its part."""
    text = f"{finding.part}: {finding.text}"
    lines = f"{finding.level:<7} {text}" + (f"\n{'':<7} {finding.advice}" if finding.advice else "")
    advice = {"advice": finding.advice} if finding.advice else {}
    say(lines, LEVELS[finding.level], message=text, part=finding.part, **advice)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield from _settings(settings)
    yield from _interpreter()
    try:
        folder = _data_folder(settings)
        if folder:
            yield folder
        if settings.signing_key or not folder:
            yield from _key(settings)
        if settings.database_url or not folder:
            yield from _database(settings)
    except OSError as failure:  # a folder that this user may not enter
        advice = foreign_owner(Path(str(failure.filename)), settings.data_dir) or "see DATA_DIR"
        yield fault("database", f"{failure.filename}: {failure.strerror}", advice)
    yield from _mail(settings)
    yield from _disk(settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    # A setting that cannot be read has ended the command already, with every fault named.
    defaults = Settings().shown()
    changed = sorted(name for name, value in settings.shown().items() if value != defaults[name])
    yield fine("settings", f"valid; other than the default: {', '.join(changed) or 'none'}")
    for text in template_faults(settings):
        yield fault("settings", text, "correct the template")
    if settings.bcrypt_rounds < LOW_ROUNDS:
        yield warning(
            "settings", f"BCRYPT_ROUNDS={settings.bcrypt_rounds} is for tests", f"{LOW_ROUNDS} or more are for people"
        )
    if settings.smtp_url and not settings.public_url:
        yield fault("settings", f"links in letters begin with {settings.site_url}", "PUBLIC_URL should be set")
    elif urlsplit(settings.public_url).scheme == "http":
        yield warning("settings", f"PUBLIC_URL {settings.public_url} has no TLS", "serve the site by https")
    if settings.smtp_url and settings.mail_from.endswith("@localhost"):
        yield fault("settings", f"letters come from {settings.mail_from}", "MAIL_FROM should be of your domain")


def _interpreter() -> Iterator[Finding]:
    text = f"Python {interpreter.describe()}"
    yield warning("python", text, "") if interpreter.is_optimised() is False else fine("python", text)


def _data_folder(settings: Settings) -> Finding | None:
    """The fault of DATA_DIR, in which a start makes or changes files. None: it has none, or is only read."""
    data = settings.data_dir.absolute()
    if settings.database_url and (settings.signing_key or os.access(data / "signing_key", os.F_OK)):
        return None
    nearest = next(each for each in (data, *data.parents) if os.access(each, os.F_OK))  # the others are made in it
    if not nearest.is_dir():
        return fault("data", f"{nearest} is no folder", "see DATA_DIR")
    if os.access(nearest, os.W_OK | os.X_OK):
        return None
    if nearest == data:
        advice = foreign_owner(data, data) or f"chmod u+rwx {data}"
        return fault("data", f"{data} cannot be written to", advice)
    user = user_name(os.geteuid())
    advice = f"as root: install -d -m 700 -o {user} {data}; or set DATA_DIR"
    return fault("data", f"{data} cannot be made: {nearest} cannot be written to", advice)


def _key(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir / "signing_key"
    if settings.signing_key:
        if len(set(settings.signing_key)) < FEW_CHARACTERS:
            yield warning("key", "SIGNING_KEY has few different characters", "make one: openssl rand -hex 32")
        else:
            yield fine("key", f"SIGNING_KEY, {len(settings.signing_key.encode())} bytes")
    elif not path.exists():
        yield fine("key", f"the first start makes {path}")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield fault("key", f"others can read {path}", f"chmod 600 {path}; if somebody did, remove it and start anew")
    else:
        yield fine("key", f"{path}, keep a copy")


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url and not (settings.data_dir / "postgres" / "PG_VERSION").exists():
        yield fine("database", f"the first start makes it in {settings.data_dir}")
        return
    try:
        yield from check_database.findings(settings)
    except (BundledPostgresError, StartError) as failure:
        yield fault("database", str(failure))
    except Unavailable as failure:
        reason = reason_of_unavailable(failure)
        yield fault("database", f"it cannot be reached: {reason}", "see DATABASE_URL and its log")


def _mail(settings: Settings) -> Iterator[Finding]:
    try:
        asyncio.run(delivery_for(settings).check())
    except DeliveryFailed as failure:
        advice = "see SMTP_URL; test-mail ADDRESS tries it" if settings.smtp_url else "see MAIL_DIR"
        yield fault("mail", str(failure), advice)
        return
    if settings.smtp_url:
        yield fine("mail", "the mail server answers and lets us in; test-mail ADDRESS sends a letter")
    else:
        yield warning("mail", f"letters are files in {settings.letters_dir}", "SMTP_URL would send them")


def _disk(settings: Settings) -> Iterator[Finding]:
    if os.access(settings.data_dir, os.F_OK):
        usage = shutil.disk_usage(settings.data_dir)
        share, free = usage.free / usage.total, f"{usage.free / 1e9:.1f} GB free at {settings.data_dir}"
        yield warning("disk", free, "free some space") if share < LOW_DISK_SHARE else fine("disk", free)
