"""The variables of the environment that are settings: by their own name, or with the prefix FRONTDESK_, which wins.

A secret may stand in a file instead: `SIGNING_KEY_FILE` names the file that has the value of `SIGNING_KEY`.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from server.settings.faults import SettingFaults

PREFIX = "FRONTDESK_"
FILE_SUFFIX = "_FILE"
FILE_MAX_BYTES = 64 * 1024
SIMILAR = 0.85  # of 1: LOG_FROMAT and LOG_FORMAT are 0.9, TRUSTED_PROXY and TRUSTED_PROXIES 0.86
COMPARED_MIN_LENGTH = 8  # shorter names, such as PORT and PORTS, are alike by chance


def texts(
    environment: Mapping[str, str], names: Iterable[str], faults: SettingFaults, *, secrets: Collection[str] = ()
) -> dict[str, str]:
    """The text of each setting of `names` that is set, without white space around it; an empty one is not set.

    Those of `secrets` are also read from the file that `NAME_FILE` names.
    A variable with the prefix that is no setting is a fault: it can be meant for no other program.
    """
    known = list(names)
    found = {}
    for name in known:
        text, path = _sources(environment, name)
        if name in secrets and path:
            if text:
                faults.add(f"{name} and {name}{FILE_SUFFIX} are both set: which of them is meant is not clear")
                continue
            with faults.within(f"{name}{FILE_SUFFIX} ").collect():
                text = _content(Path(path))
        if text:
            found[name] = text
    known += [name + FILE_SUFFIX for name in secrets]
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            meant = _most_similar(name, known)
            faults.add(f"{variable} is no setting" + (f": {PREFIX}{meant} is one" if meant else ""))
    return found


def names_file(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable names the file that has the value of the secret setting `name`."""
    return bool(_sources(environment, name)[1])


def files(environment: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    """The path of each file that has a secret, by the name of its variable, without the prefix."""
    paths = {name + FILE_SUFFIX: _sources(environment, name)[1] for name in secrets}
    return {name: path for name, path in paths.items() if path}


def blank(environment: Mapping[str, str], name: str) -> list[str]:
    """The variables of a secret setting that have nothing but white space, with the prefix first."""
    variables = [prefix + name + suffix for prefix in (PREFIX, "") for suffix in ("", FILE_SUFFIX)]
    return [each for each in variables if environment.get(each) and not environment[each].strip()]


def misspelt(environment: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """A sentence for each variable whose name is nearly that of a setting.

    Not a fault: the variable may belong to another program of the machine.
    """
    known = list(names)
    for variable in sorted(environment):
        if variable.upper() != variable and variable.upper() in known:
            yield f"{variable} is set and is no setting: {variable.upper()} is one"
            continue
        # OpenTelemetry reads further variables itself.
        if variable in known or variable.startswith((PREFIX, "OTEL_")) or len(variable) < COMPARED_MIN_LENGTH:
            continue
        if (meant := _most_similar(variable, known)) and len(meant) >= COMPARED_MIN_LENGTH:
            yield f"{variable} is set and is no setting: {meant} is one"


def _sources(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """The text of a setting, and the path that NAME_FILE has: both with the prefix, or else both without it."""
    for prefix in (PREFIX, ""):
        text, path = (environment.get(prefix + name + suffix, "").strip() for suffix in ("", FILE_SUFFIX))
        if text or path:
            return text, path
    return "", ""


def _content(file: Path) -> str:
    """The text of a file. Raises ValueError when there is none to use."""
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise ValueError("names something that is not a file")  # workers read it again: a pipe would be empty
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as failure:
        raise ValueError(f"names a file that cannot be read: {failure.strerror}") from None
    if len(content) > FILE_MAX_BYTES:
        raise ValueError(f"names a file of more than {FILE_MAX_BYTES} bytes")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8 text") from None
    if not text:
        raise ValueError("names a file that is empty")
    return text


def _most_similar(name: str, known: list[str]) -> str | None:
    found = difflib.get_close_matches(name, known, n=1, cutoff=SIMILAR)
    return found[0] if found else None
