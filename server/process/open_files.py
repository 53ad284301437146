"""How many connections a process may have: each is an open file, and the kernel limits those (RLIMIT_NOFILE)."""

import contextlib
import resource

from server.settings.settings import Settings
from server.web.connections import USUAL_MAX_CONNECTIONS

OTHER_FILES = 100  # of a process: libraries, logs, listening sockets, mail; beside its connections to databases


def max_connections(settings: Settings) -> int:
    """How many connections of clients this process takes, after raising the soft limit of open files if it is too low.

    The limit is raised no further than needed: programs that this process starts close as many files as they may have.
    """
    databases = 2 if settings.replica_url else 1
    others = OTHER_FILES + databases * settings.worker_connections
    files = _allow((settings.max_connections or USUAL_MAX_CONNECTIONS) + others)
    return max(1, min(settings.max_connections or USUAL_MAX_CONNECTIONS, files - others))


def faults(settings: Settings) -> list[str]:
    """Why MAX_CONNECTIONS cannot be kept: at most one sentence."""
    possible = max_connections(settings)
    if settings.max_connections <= possible:
        return []
    return [f"MAX_CONNECTIONS {settings.max_connections}: the limit of open files (ulimit -n) allows {possible}"]


def _allow(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted` if it is lower; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
