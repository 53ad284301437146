"""Files of the package that are not Python: found in a wheel, an installation, and a checkout."""

import functools
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def resource(name: str) -> Traversable:
    """The folder `name` ("sql", "migrations"): inside `server/` when installed, beside `server/` in a checkout."""
    installed = files("server") / name
    return installed if installed.is_dir() else Path(__file__).parent.parent / name


def package(name: str) -> Traversable:
    """The folder of a Python package."""
    return files(name)


@functools.cache
def statements() -> dict[str, str]:
    """The text of every file of `sql/`, by its path without the ending: `profiles/find`."""
    return {
        f"{folder.name}/{file.name.removesuffix('.sql')}": file.read_text()
        for folder in resource("sql").iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
