"""The variables of the environment that are settings: by their own name, or with the prefix FRONTDESK_, which wins."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

from server.settings.faults import SettingFaults

PREFIX = "FRONTDESK_"
SIMILAR = 0.87  # of 1: LOG_FROMAT and LOG_FORMAT are 0.9
COMPARED_MIN_LENGTH = 8  # shorter names, such as PORT and PORTS, are alike by chance


def texts(environment: Mapping[str, str], names: Iterable[str], faults: SettingFaults) -> dict[str, str]:
    """The text of each setting of `names` that is set, without white space around it; an empty one is not set.

    A variable with the prefix that is no setting is a fault: it can be meant for no other program.
    """
    known = list(names)
    found = {}
    for name in known:
        variable = PREFIX + name if environment.get(PREFIX + name, "").strip() else name
        if text := environment.get(variable, "").strip():
            found[name] = text
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in known:
            meant = _most_similar(name, known)
            faults.add(f"{variable} is no setting" + (f": {PREFIX}{meant} is one" if meant else ""))
    return found


def misspelt(environment: Mapping[str, str], names: Iterable[str]) -> Iterator[str]:
    """A sentence for each variable whose name is nearly that of a setting.

    Not a fault: the variable may belong to another program of the machine.
    """
    known = list(names)
    for variable in sorted(environment):
        if variable in known or variable.startswith(PREFIX) or len(variable) < COMPARED_MIN_LENGTH:
            continue
        if (meant := _most_similar(variable, known)) and len(meant) >= COMPARED_MIN_LENGTH:
            yield f"{variable} is set and is no setting: {meant} is one"


def _most_similar(name: str, known: list[str]) -> str | None:
    found = difflib.get_close_matches(name, known, n=1, cutoff=SIMILAR)
    return found[0] if found else None
