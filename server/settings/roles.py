"""The roles of a site and the fields of each, declared in a file (ROLES_FILE, TOML), not coded.

The file is read once, at the start, and checked as a whole. docs/decisions/roles.md
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.settings import field_schemas
from server.settings.values import Faults

NAME = r"[a-z][a-z0-9_-]{0,30}"
TITLE_LENGTH = 200
NO_FIELDS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Fields that a form asks for together."""

    title: str
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Role:
    """What an account can be: `registration` says whether people may take it themselves, `fields` is a JSON Schema."""

    name: str
    title: str
    registration: bool
    fields: dict[str, Any]
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Roles:
    """The roles of a file, by name; none, and false, where a site has no such file."""

    path: str = ""
    by_name: Mapping[str, Role] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Role]:
        return iter(self.by_name.values())

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def __str__(self) -> str:
        return self.path

    def get(self, name: str | None) -> Role | None:
        """The role called `name`, or None when the file has none of that name."""
        return self.by_name.get(name) if name else None

    def open_to_all(self) -> list[str]:
        """The names of the roles that people may take themselves."""
        return [role.name for role in self if role.registration]


def read(path: str) -> Roles:
    """The roles that the file at `path` declares. Raises Faults with every reason why it cannot be used."""
    try:
        declared = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as failure:
        raise Faults([f"cannot be read: {failure.strerror}"]) from None
    except ValueError as failure:
        raise Faults([f"is no TOML: {failure}"]) from None
    faults = [f"{name}: is unknown" for name in declared if name != "roles"]
    tables = declared.get("roles", {})
    if not isinstance(tables, dict) or not tables:
        raise Faults([*faults, "declares no role: [roles.NAME] begins one"])
    for name, table in tables.items():
        faults += [f"roles.{name}{text}" for text in _faults(name, table)]
    if faults:
        raise Faults(faults)
    return Roles(path, {name: _role(name, table) for name, table in tables.items()})


def _role(name: str, table: dict[str, Any]) -> Role:
    return Role(
        name=name,
        title=table.get("title", name.capitalize()),
        registration=table.get("registration", False),
        fields=table.get("fields", NO_FIELDS),
        steps=tuple(Step(title=each["title"], fields=tuple(each["fields"])) for each in table.get("steps", ())),
    )


def _faults(name: str, table: Any) -> Iterator[str]:
    if not re.fullmatch(NAME, name):
        yield ": is no name: small letters, digits, - and _, 31 at most, a letter first"
    if not isinstance(table, dict):
        yield ": is no table"
        return
    for key in sorted(set(table) - {"title", "registration", "fields", "steps"}):
        yield f".{key}: is unknown"
    yield from _of_title(table.get("title", name))
    if not isinstance(table.get("registration", False), bool):
        yield ".registration: is true or false"
    fields = table.get("fields", NO_FIELDS)
    if not isinstance(fields, dict):
        yield ".fields: is no table"
        return
    yield from (f".{text}" for text in field_schemas.faults(fields))
    if "steps" in table:
        properties = fields.get("properties", {})
        yield from _of_steps(table["steps"], list(properties) if isinstance(properties, dict) else [])


def _of_title(title: Any) -> Iterator[str]:
    if not isinstance(title, str) or not title.strip() or not title.isprintable() or len(title) > TITLE_LENGTH:
        yield f".title: is one line of 1 to {TITLE_LENGTH} characters"


def _of_steps(steps: Any, properties: list[str]) -> Iterator[str]:
    """The steps hold every field, each once."""
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        yield ".steps: is no list of tables"
        return
    seen: list[str] = []
    for number, step in enumerate(steps):
        for key in sorted(set(step) - {"title", "fields"}):
            yield f".steps.{number}.{key}: is unknown"
        yield from (f".steps.{number}{text}" for text in _of_title(step.get("title")))
        names = step.get("fields")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            yield f".steps.{number}.fields: is no list of names of fields"
            continue
        for name in names:
            if name not in properties:
                yield f".steps.{number}.fields: {name} is no field"
            elif name in seen:
                yield f".steps.{number}.fields: {name} stands in a step already"
            seen.append(name)
    for name in properties:
        if name not in seen:
            yield f".steps: {name} stands in no step"
