"""The pages of the reference, made from the code: what they say is what the code has."""

import argparse
import dataclasses
import io
import re
from collections.abc import Iterable
from pathlib import Path

from server.accounts.events import EVENT_KINDS
from server.commands.main import COMMANDS, command_line
from server.settings.account_model import (
    ACCOUNT_FIELDS_MAX_BYTES,
    FIELD_NAME,
    MAX_FIELDS,
    READERS,
    RESERVED_NAMES,
    USERNAME_CHOICES,
    WRITERS,
)
from server.settings.roles import ROLE_NAME
from server.settings.settings import Settings
from server.telemetry import metrics
from server.telemetry.instruments import Metric
from tests.site.endpoints import endpoints_page
from tests.site.tables import code, table

ROOT = Path(__file__).parent.parent.parent


def reference_pages() -> dict[str, str]:
    """The Markdown of each page by its name."""
    pages = {
        "settings": settings_page(),
        "commands": commands_page(),
        "endpoints": endpoints_page(),
        "site-file": site_file_page(),
        "events": events_page(),
        "metrics": metrics_page(),
    }
    return {name: re.sub(r"\n{3,}", "\n\n", text) for name, text in pages.items()}


def settings_page() -> str:
    """Every setting with its default, each below a heading, so that it has an address."""
    shown = Settings().shown()
    parts = []
    for each in dataclasses.fields(Settings):
        name, text = each.name.upper(), each.metadata["description"]
        default = f"Default: `{shown[name]}`." if shown[name] else "Empty by default."
        file = f" A secret: it may stand in the file that `{name}_FILE` names." if each.metadata["secret"] else ""
        parts.append(f"## {name}\n\n{text[0].upper()}{text[1:]}. {default}{file}\n")
    return f"""# Settings

Environment variables. A wrong one stops the start with status 2, and every fault is named. Each is also read with
the prefix `FRONTDESK_`, which wins. An empty value is the default. The command `settings` prints what is in force.

{chr(10).join(parts)}"""


def commands_page() -> str:
    """The help of every command."""
    parser = command_line()
    parser.prog = "frontdesk"
    (choices,) = (each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    parts = []
    for name in COMMANDS:
        command = choices[name]
        command.prog = f"frontdesk {name}"
        text = io.StringIO()
        command.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
        command.print_help(text)
        parts.append(f"## {name}\n\n```text\n{text.getvalue().strip()}\n```\n")
    return f"""# Commands

`frontdesk COMMAND` and `python -m server COMMAND` are the same. Without a command it serves. Status 0: done; 1: it
could not be done, and one sentence says why; 2: settings or the command line are wrong.

{chr(10).join(parts)}"""


def site_file_page() -> str:
    """The keys of the site file, and its examples."""
    account = [
        ("`[account] username`", f"one of {_words(USERNAME_CHOICES)}", "whether an account has a username"),
        ("`[account] shown_as`", "a member", "what shows a person's name in profiles, letters and lists"),
        (
            "`[account.fields]`",
            "a JSON Schema",
            f"the fields that an account has beside those of the contract; {MAX_FIELDS} at"
            f" most, {ACCOUNT_FIELDS_MAX_BYTES // 1024} kB together; a name matches `{FIELD_NAME}`",
        ),
        ("`[account.written_by] FIELD`", f"one of {_words(WRITERS)}", "who writes the field"),
        ("`[account.read_by] FIELD`", f"one of {_words(READERS)}", "who reads the field"),
        ("`[roles.NAME] title`", "a text", f"what people call the role; a name matches `{ROLE_NAME}`"),
        ("`[roles.NAME] registration`", "true or false", "whether people may choose the role when they register"),
        ("`[roles.NAME.fields]`", "a JSON Schema", "the fields that an account with the role has"),
        (
            "`[roles.NAME] steps`",
            "a list of tables",
            "`title` and `fields` of each page of a form; together they have every field",
        ),
    ]
    examples = [
        f"### {file.name}\n\n```toml\n{file.read_text().strip()}\n```\n"
        for file in sorted((ROOT / "examples" / "site").glob("*.toml"))
    ]
    return f"""# Site file

A file in TOML that `SITE_FILE` names. It declares what an account consists of, and the roles of the site. Every fault
of the file stops the start and is named. What it changes for clients: [the contract](../contract.md#35-account-fields).

{table(("key", "value", "what it is"), account)}
These names are members of the contract itself, and no field may have one: {_words(sorted(RESERVED_NAMES))}.

## Examples

{chr(10).join(examples)}"""


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def events_page() -> str:
    """Every kind of event."""
    rows = [(code(kind), text) for kind, text in EVENT_KINDS.items()]
    return f"""# Events

What happened to accounts, a row and a line of the log for each. How they are read:
[the contract](../contract.md#21-events). They are kept for `EVENTS_LIFETIME` days.

{table(("kind", "what happened"), rows)}"""


def metrics_page() -> str:
    """Every metric."""
    found = [each for each in vars(metrics).values() if isinstance(each, Metric)]
    rows = [(code(each.name), each.kind, _words(each.labels), each.description) for each in found]
    return f"""# Metrics

`METRICS` says where they are served, for Prometheus. Sums over all processes. Alerts and what each means:
[Operate the service](../operate.md#alerts). Names that begin with `process_` describe processes.

{table(("name", "kind", "labels", "what it is"), rows)}"""
