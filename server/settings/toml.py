"""Reads a TOML file of the operator."""

import tomllib
from pathlib import Path
from typing import Any

from server.settings.faults import SettingFaults


def load(path: str, faults: SettingFaults) -> dict[str, Any]:
    """The content of a TOML file, unchecked. Raises SettingsError when it cannot be read."""
    declared: dict[str, Any] = {}
    try:
        declared = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as failure:
        faults.add(f"cannot be read: {failure.strerror}")
    except ValueError as failure:
        faults.add(f"is not TOML: {failure}")
    faults.check()
    return declared
