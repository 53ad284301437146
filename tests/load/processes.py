"""What the kernel knows about processes: the processor time and memory of one, its children included."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STOP_SECONDS = 40


def free_port() -> int:
    """A TCP port on 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[int]:
    """The process ids of `pid` and its descendants."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that `pid` and its descendants have used, including those that ended."""
    ticks = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            # After the name, which may contain anything: utime and stime, its own and those of ended children.
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / TICKS_PER_SECOND


def machine_seconds() -> float:
    """Processor time that all processes of the machine have used."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / TICKS_PER_SECOND


def rss_bytes(pid: int) -> int:
    """Resident memory of `pid` and its descendants."""
    pages = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * PAGE_BYTES


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM, and after 40 seconds SIGKILL."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for each in reversed(tree(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        process.wait(STOP_SECONDS)
