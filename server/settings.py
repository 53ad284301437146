"""What an operator can set: read once, checked as a whole, every fault named at once.

Each field is the environment variable of the same name in capitals; a test holds README's table equal to this class.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

MIN_KEY_BYTES = 32  # RFC 7518 §3.2: an HMAC key is at least as long as the hash
DATA_DIR = Path("data")
HIDDEN = "••••••"
MOST_WORKERS = 32  # with more there would be fewer than two connections to the database for each


class SettingsError(Exception):
    """The environment asks for something that cannot be; `faults` names every reason, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _text(value: str) -> str:
    return value


def _flag(value: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.lower() not in words:
        raise ValueError("is true or false")
    return words[value.lower()]


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise ValueError(f"is a whole number from {low} to {high}")
        return int(value)

    return parse


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(value: str) -> int:
    try:
        return min(cores(), MOST_WORKERS) if value == "auto" else _whole(1, MOST_WORKERS)(value)
    except ValueError as fault:
        raise ValueError(f"{fault}, or auto") from None


def _address(value: str) -> str:
    if not re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\]):[0-9]{1,5}", value) or int(value.rpartition(":")[2]) > 65535:
        raise ValueError("is an address and a port, such as 127.0.0.1:9464")
    return value


def _choice(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)}")
        return value

    return parse


def _database(value: str) -> str:
    if not re.match(r"postgres(ql)?://", value):
        raise ValueError("begins with postgresql://")
    try:
        urlsplit(value).port  # noqa: B018  the parts are checked when they are asked for
    except ValueError:
        raise ValueError("is not a URL that can be read") from None
    return value


def _key(value: str) -> str:
    if len(value.encode()) < MIN_KEY_BYTES:
        raise ValueError(f"has {MIN_KEY_BYTES} bytes or more")
    return value


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in value.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
            raise ValueError(f"lists origins such as https://app.example.com, or * for all; {origin!r} is none")
    return origins


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _setting(parse: Callable[[str], Any], default: Any, says: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "says": says, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, frozen; times are in seconds."""

    host: str = _setting(_text, "127.0.0.1", "address to listen on")
    port: int = _setting(_whole(0, 65535), 8080, "port to listen on; 0 takes a free one")
    workers: int = _setting(
        _workers, 1, f"processes that serve the port, at most {MOST_WORKERS}; `auto`: one for each core"
    )
    metrics: str = _setting(
        _address, "", "address and port of `/metrics` for Prometheus, such as `127.0.0.1:9464`; empty: nowhere"
    )
    database_url: str = _setting(
        _database, "", "PostgreSQL 17 or newer, `postgresql://…`; empty: the bundled one", secret=True
    )
    data_dir: Path = _setting(Path, DATA_DIR, "folder of the bundled database and of the signing key made for it")
    signing_key: str = _setting(
        _key, "", "signs tokens, 32 bytes or more; required with `DATABASE_URL`, otherwise made once", secret=True
    )
    access_lifetime: int = _setting(_whole(1, 31_536_000), 300, "life of an access token in seconds")
    refresh_lifetime: int = _setting(
        _whole(1, 315_360_000), 86400, "life of a refresh token and of its session in seconds"
    )
    bcrypt_rounds: int = _setting(_whole(4, 20), 12, "cost of a password hash; each step doubles it")
    unique_email: bool = _setting(_flag, True, "one account per e-mail address")
    cors_origins: tuple[str, ...] = _setting(
        _origins, (), "origins whose pages may call, separated by commas; `*` for all"
    )
    migrate_on_start: bool = _setting(_flag, True, "bring the schema up to date at start")
    log_format: str = _setting(_choice("text", "json"), "text", "form of the log: `text` or `json`")
    access_log: bool = _setting(_flag, False, "a log line for every request, not only for failures")

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Settings from `environment`; an empty variable counts as absent. Raises SettingsError with every fault."""
        values: dict[str, Any] = {}
        faults: list[str] = []
        for each in dataclasses.fields(cls):
            name, given = each.name.upper(), environment.get(each.name.upper(), "")
            try:
                if given:
                    values[each.name] = each.metadata["parse"](given)
            except ValueError as fault:
                faults.append(f"{name} {fault}")
        if environment.get("DATABASE_URL") and not environment.get("SIGNING_KEY"):
            faults.append("SIGNING_KEY is required with DATABASE_URL: all processes must hold the same one")
        if faults:
            raise SettingsError(faults)
        return cls(**values)

    def shown(self) -> dict[str, str]:
        """Every setting by its environment name, as text, secrets hidden."""
        table = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            table[each.name.upper()] = HIDDEN if each.metadata["secret"] and value else _as_text(value)
        return table
