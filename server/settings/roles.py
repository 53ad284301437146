"""Reads the roles of a site and the fields of each role: sections `[roles.NAME]` of the site file, or of ROLES_FILE.

The file is read once, at the start, and checked as a whole (docs/decisions/roles.md).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.settings import field_schemas, toml
from server.settings.faults import SettingFaults

ROLE_NAME = r"[a-z][a-z0-9_-]{0,30}"
TITLE_MAX_LENGTH = 200
NO_FIELDS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Fields that a form shows together."""

    title: str
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Role:
    """A role. `registration`: people may choose it when they register. `fields`: a JSON Schema of the role's fields."""

    name: str
    title: str
    registration: bool
    fields: dict[str, Any]
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of a file by name. Empty, and false, when a site has no such file."""

    path: str = ""
    by_name: Mapping[str, Role] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Role]:
        return iter(self.by_name.values())

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def __str__(self) -> str:
        return self.path

    def get(self, name: str | None) -> Role | None:
        """The role `name`, or None when there is no such role."""
        return self.by_name.get(name) if name else None

    def open_to_all(self) -> list[str]:
        """The names of the roles that people may choose when they register."""
        return [role.name for role in self if role.registration]


def read(path: str) -> Roles:
    """The roles that the file at `path` declares (ROLES_FILE). Raises SettingsError with every fault of the file."""
    faults = SettingFaults()
    declared = toml.load(path, faults)
    for name in sorted(declared.keys() - {"roles"}):
        faults.add(f"{name}: is unknown")
    found = read_tables(path, declared.get("roles", {}), faults)
    faults.check()
    return found


def read_tables(path: str, tables: Any, faults: SettingFaults) -> Roles:
    """The roles of the sections `[roles.NAME]` of the file at `path`. Adds every fault of them to `faults`."""
    if not isinstance(tables, dict) or not tables:
        faults.add("declares no role: [roles.NAME] begins one")
        return Roles()
    before = len(faults)
    for name, table in tables.items():
        _check_role(name, table, faults.within(f"roles.{name}"))
    if len(faults) > before:
        return Roles()
    return Roles(path, {name: _role(name, table) for name, table in tables.items()})


def _role(name: str, table: dict[str, Any]) -> Role:
    return Role(
        name=name,
        title=table.get("title", name.capitalize()),
        registration=table.get("registration", False),
        fields=table.get("fields", NO_FIELDS),
        steps=tuple(Step(title=each["title"], fields=tuple(each["fields"])) for each in table.get("steps", ())),
    )


def _check_role(name: str, table: Any, faults: SettingFaults) -> None:
    if not re.fullmatch(ROLE_NAME, name):
        faults.add(": is not a name: small letters, digits, - and _, 31 at most, a letter first")
    if not isinstance(table, dict):
        faults.add(": is not a table")
        return
    for key in sorted(set(table) - {"title", "registration", "fields", "steps"}):
        faults.add(f".{key}: is unknown")
    _check_title(table.get("title", name), faults)
    if not isinstance(table.get("registration", False), bool):
        faults.add(".registration: is true or false")
    fields = table.get("fields", NO_FIELDS)
    if not isinstance(fields, dict):
        faults.add(".fields: is not a table")
        return
    field_schemas.check(fields, faults.within(".fields"))
    if "steps" in table:
        properties = fields.get("properties", {})
        _check_steps(table["steps"], list(properties) if isinstance(properties, dict) else [], faults.within(".steps"))


def _check_title(title: Any, faults: SettingFaults) -> None:
    if not isinstance(title, str) or not title.strip() or not title.isprintable() or len(title) > TITLE_MAX_LENGTH:
        faults.add(f".title: is one line of 1 to {TITLE_MAX_LENGTH} characters")


def _check_steps(steps: Any, properties: list[str], faults: SettingFaults) -> None:
    """Together the steps have every field, each once."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        faults.add(": is not a list of tables")
        return
    seen: list[str] = []
    for number, step in enumerate(steps):
        _check_step(step, properties, seen, faults.within(f".{number}"))
    for name in properties:
        if name not in seen:
            faults.add(f": {name} is in no step")


def _check_step(step: dict[str, Any], properties: list[str], seen: list[str], faults: SettingFaults) -> None:
    for key in sorted(set(step) - {"title", "fields"}):
        faults.add(f".{key}: is unknown")
    _check_title(step.get("title"), faults)
    names = step.get("fields")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        faults.add(".fields: is not a list of field names")
        return
    for name in names:
        if name not in properties:
            faults.add(f".fields: {name} is not a field")
        elif name in seen:
            faults.add(f".fields: {name} is in a step already")
        seen.append(name)
