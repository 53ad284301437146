"""The drill that fills the disk of the bundled PostgreSQL."""

import asyncio
import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.drill.drills import Scene, as_root, drill

DISK = "size=192m"
FULL_SECONDS = 15
BACK_WITHIN_SECONDS = 40.0
CHUNK_BYTES = 1 << 20


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A file system in memory at `folder` that a drill can fill."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{DISK},mode=755", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(file: Path) -> None:
    """Write to `file` until the file system is full."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (CHUNK_BYTES, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.write(fd, bytes(size))
    finally:
        os.close(fd)


def _is_full(folder: Path) -> bool:
    try:
        (folder / "probe").write_bytes(bytes(4096))
    except OSError as failure:
        return failure.errno == errno.ENOSPC
    (folder / "probe").unlink()
    return False


@drill
async def full_disk(scene: Scene) -> None:
    """Fills the disk of the database for 15 s, until PostgreSQL cannot write its log of changes, then frees it."""
    as_root("mount a small disk")
    with _small_disk(scene.folder / "data"), scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            ballast, until = scene.data / "ballast", time.monotonic() + scene.choose(FULL_SECONDS, 5)
            before = len(ledger.writes)
            while time.monotonic() < until:  # PostgreSQL frees and takes space meanwhile
                await asyncio.to_thread(_fill, ballast)
                await asyncio.sleep(0.2)
            scene.result.expect(_is_full(scene.data), "the disk is not full")
            meanwhile = len(ledger.writes) - before
            since = time.monotonic()
            ballast.unlink()
            scene.result.note("space is free", await ledger.recovers("the disk", since, BACK_WITHIN_SECONDS))
            await asyncio.sleep(1)
        errors = [line for line in service.errors() if " ERROR " in line]
        scene.result.expect(bool(errors), "no ERROR in the log says that the disk is full")
        scene.result.worst = f"{meanwhile} writes while it was full; {len(errors)} ERROR lines: {errors[:1]}"
