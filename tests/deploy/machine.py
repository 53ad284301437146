"""A machine with systemd: the files of this one under a layer of their own, which is thrown away, in systemd-nspawn.

Needs root. It has a network of its own once it is booted; before, `prepare` uses that of this machine.
"""

import os
import re
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

PASSED = re.compile("pip_|https?_proxy|no_proxy|ssl_cert", re.IGNORECASE)  # what pip needs to reach its index
BOOT_SECONDS = 90
COMMAND_SECONDS = 300
STOP_SECONDS = 30


class CannotBoot(Exception):
    """There is no machine. The text says why."""


class Machine:
    """Use it in a `with`: its files are there at once, it runs after `boot`, and nothing of it is left at the end."""

    def __init__(self) -> None:
        self._layer = Path(tempfile.mkdtemp(prefix="machine-"))
        self.root = self._layer / "root"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        _must("mount", "-t", "tmpfs", "tmpfs", str(self._layer))
        for name in ("root", "upper", "work"):
            (self._layer / name).mkdir()
        layers = f"lowerdir=/,upperdir={self._layer}/upper,workdir={self._layer}/work"
        _must("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()  # systemd-nspawn shuts the machine down
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for mounted in (self.root, self._layer):
            subprocess.run(["umount", "--recursive", str(mounted)], stderr=subprocess.DEVNULL)
        self._layer.rmdir()

    def prepare(self, script: str, folder: str = "/") -> None:
        """Run a shell script in the files of the machine, before it boots, with the network of this one."""
        passed = [f"--setenv={name}={value}" for name, value in os.environ.items() if PASSED.match(name)]
        _must("systemd-nspawn", *self._options(), *passed, f"--chdir={folder}", "--pipe", "bash", "-euc", script)

    def boot(self) -> None:
        """Start systemd and wait until it takes commands. Raises CannotBoot."""
        self._process = subprocess.Popen(
            ["systemd-nspawn", *self._options(), "--private-network", "--boot", "systemd.unit=basic.target"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise CannotBoot(f"systemd-nspawn ended with status {self._process.returncode}")
            if (
                self._find_leader()
                and self.try_run("systemctl is-active -q basic.target && ip link set lo up").returncode == 0
            ):
                return
            time.sleep(0.2)
        raise CannotBoot(f"systemd was not ready after {BOOT_SECONDS} s")

    def try_run(self, script: str, folder: str = "/") -> subprocess.CompletedProcess[str]:
        """Run a shell script in the machine, whatever its status."""
        enter = [
            "nsenter",
            "--target",
            str(self._leader),
            "--all",
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
        ]
        return subprocess.run(
            [*enter, "bash", "-euc", f"cd {folder}; {script}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    def run(self, script: str, folder: str = "/") -> str:
        """Run a shell script in the machine: what it wrote. A failure is an assertion with the output."""
        ended = self.try_run(script, folder)
        assert ended.returncode == 0, f"{script}\nended with status {ended.returncode}:\n{ended.stdout}"
        return ended.stdout

    def _options(self) -> list[str]:
        # Registered nowhere, because this machine may have no system bus of its own.
        identity = f"--uuid={uuid.uuid4().hex}"
        return [
            "-q",
            "-D",
            str(self.root),
            identity,
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--timezone=off",
        ]

    def _find_leader(self) -> bool:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._leader = next((int(child) for child in children if _is_systemd(child)), 0)
        return self._leader > 0


def _is_systemd(pid: str) -> bool:
    try:
        return re.search(r"systemd$|init$", Path(f"/proc/{pid}/comm").read_text().strip()) is not None
    except OSError:
        return False


def _must(*command: str) -> None:
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if ended.returncode != 0:
        raise CannotBoot(f"{' '.join(command[:2])} failed: {ended.stdout.strip()}")
