"""What a drill is: a function that does harm to the service while clients write, and measures what they notice."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from server.postgres.bundled import attach
from tests.attack.attacks import Outcome, Skipped
from tests.attack.stage import Service, Visitor
from tests.drill.ledger import CLIENTS, Ledger
from tests.processes import ROOT, surroundings

WARM_UP_SECONDS = 1.0
STORED_SECONDS = 20.0
Connection = psycopg.Connection[Any]
Opened = contextlib.AbstractContextManager["Connection"]


@dataclass
class Result(Outcome):
    """What came of a drill."""

    recovered: dict[str, list[float]] = field(default_factory=dict)
    """For each kind of harm, the seconds until a write was acknowledged again."""
    failures: str = "-"
    compared: str = "-"
    slowest: float = 0.0

    def note(self, what: str, seconds: float) -> None:
        """Note the seconds from the harm, or its end, to the next acknowledged write."""
        self.recovered.setdefault(what, []).append(seconds)

    @property
    def times(self) -> str:
        """The times to recovery, for the table: the worst of each kind."""
        each = [
            f"{what} {max(seconds):.1f} s" + (f" (worst of {len(seconds)})" if len(seconds) > 1 else "")
            for what, seconds in self.recovered.items()
        ]
        return "; ".join(each) or "-"


class Scene:
    """A folder for a drill, services in it, and clients. Everything ends with it."""

    def __init__(self, result: Result, prepared: Path, *, quick: bool) -> None:
        """`prepared`: a data folder that was made by `prepare`, to be copied."""
        self.result = result
        self.quick = quick
        self._prepared = prepared
        # Short: a socket's path has at most 107 bytes. Other users can enter it: PostgreSQL may run as one.
        self.folder = Path(tempfile.mkdtemp(prefix="drill-"))
        self.folder.chmod(0o755)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def choose(self, full: int, quick: int) -> int:
        """A number: in full, or in the quick form."""
        return quick if self.quick else full

    @property
    def data(self) -> Path:
        """The data folder of the bundled database; its schema is up to date."""
        data = self.folder / "data"
        if not (data / "postgres").exists():
            subprocess.run(["cp", "-a", f"{self._prepared}/.", str(data)], check=True)
        return data

    @contextlib.contextmanager
    def service(self, database_url: str = "", **settings: str) -> Iterator[Service]:
        """A running service; on the bundled database unless there is a URL."""
        place = {"DATA_DIR": str(self.data), "WORKERS": "2"}
        service = Service(database_url, self.folder, **place | settings)
        try:
            yield service
        except BaseException:
            _show_end(service.log)
            raise
        finally:
            service.stop()

    @contextlib.asynccontextmanager
    async def clients(self, service: Service, opened: Callable[[], Opened]) -> AsyncIterator[Ledger]:
        """Clients that write meanwhile; at the end the ledger is compared over the connection of `opened`."""
        ledger = Ledger(self.result)
        async with Visitor(service, connections=4 * CLIENTS) as visitor:
            writing = [asyncio.create_task(ledger.write(visitor, number)) for number in range(CLIENTS)]
            try:
                await ledger.recovers("the start", time.monotonic(), STORED_SECONDS)
                await asyncio.sleep(WARM_UP_SECONDS)
                yield ledger
                ledger.stop()
                await asyncio.gather(*writing)
            finally:
                for each in writing:
                    each.cancel()
            with opened() as connection:
                await ledger.compare(visitor, connection)
        self.result.failures, self.result.compared = ledger.failures, ledger.text
        self.result.slowest = ledger.slowest

    @contextlib.contextmanager
    def bundled(self) -> Iterator[Connection]:
        """A connection to the bundled database."""
        share = attach(self.data, say=lambda text: None)
        try:
            with psycopg.connect(share.url(), autocommit=True) as connection:
                yield connection
        finally:
            share.release()


@contextlib.contextmanager
def prepare() -> Iterator[Path]:
    """A data folder of the bundled database with an up-to-date schema, which drills copy."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        data = Path(folder) / "data"
        Path(folder).chmod(0o755)
        environment = surroundings(DATA_DIR=str(data))
        command = [sys.executable, "-m", "server", "migrate"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        yield data


def _show_end(log: Path) -> None:
    with contextlib.suppress(OSError):
        print(log.read_text(errors="replace")[-3000:], flush=True)


Run = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Drill:
    """One drill; its description is the docstring of its function."""

    name: str
    run: Run

    @property
    def description(self) -> str:
        """What it does."""
        return " ".join((self.run.__doc__ or "").split())

    async def carry_out(self, prepared: Path, *, quick: bool) -> Result:
        """Run it; a failure of the drill itself is a fault, too."""
        result, began = Result(), time.monotonic()
        scene = Scene(result, prepared, quick=quick)
        try:
            await self.run(scene)
        except Skipped as reason:
            result.skipped = str(reason)
        except Exception as failure:
            result.fault(f"the drill failed: {type(failure).__name__}: {failure}")
        finally:
            scene.close()
        result.seconds = time.monotonic() - began
        return result


DRILLS: dict[str, Drill] = {}


def drill(function: Run) -> Run:
    """Register a function as a drill."""
    name = getattr(function, "__name__", "").replace("_", "-")
    assert name not in DRILLS
    DRILLS[name] = Drill(name, function)
    return function


def as_root(what: str) -> None:
    """Raises Skipped when this process is not root's."""
    if os.geteuid():
        raise Skipped(f"only root can {what}")


def table(rows: Iterable[tuple[Drill, Result]]) -> list[str]:
    """The results as a table of Markdown, for docs/operate.md."""
    lines = ["| drill | again after | failed writes | longest | compared | |", "|---|---|---|--:|---|---|"]
    for each, result in rows:
        state = "skipped" if result.skipped else "BROKEN" if result.faults else "nothing lost"
        times = result.skipped or result.times
        longest = f"{result.slowest:.1f} s"
        lines.append(f"| `{each.name}` | {times} | {result.failures} | {longest} | {result.compared} | {state} |")
    return lines
