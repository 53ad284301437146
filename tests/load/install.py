"""Installs each peer into its own environment below `.cache/load/envs/`, again when its pinned versions change."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.load.peers import PEERS, Peer

STAMP = "installed"
NODE_TOOLS = (("node", "nodejs"), ("npm", "npm"))


class CannotInstall(Exception):
    """A peer's environment could not be made; the text says why."""


class Programs(NamedTuple):
    """What runs a peer: its interpreter, the program that serves, and the folder to run both in."""

    interpreter: str
    server: str
    folder: Path


def missing_tools(peers: list[Peer], *, uses_wrk: bool) -> list[str]:
    """A line for each program that is not installed, with the command that installs it."""
    lines = []
    if uses_wrk and not shutil.which("wrk"):
        lines.append("wrk is missing: apt-get install wrk")
    if any(peer.kind == "node" for peer in peers):
        lines += [
            f"{tool} is missing: apt-get install {package}" for tool, package in NODE_TOOLS if not shutil.which(tool)
        ]
    return lines


def brought_versions() -> dict[str, str]:
    """The versions of the programs that are installed with a peer: Bun and PocketBase."""
    bun = json.loads((PEERS["elysia"].folder / "package.json").read_text())["dependencies"]["@oven/bun-linux-x64"]
    pocketbase = (PEERS["pocketbase"].folder / "requirements.txt").read_text().strip().partition("==")[2]
    return {"bun": bun, "pocketbase": pocketbase}


def programs(peer: Peer, home: Path, say: Callable[[str], None]) -> Programs:
    """The programs that run the peer. Installs the peer if needed. Raises CannotInstall when that fails."""
    if peer.kind == "here":
        return Programs(sys.executable, sys.executable, Path(__file__).parents[2])
    environment = home / "envs" / peer.name
    pins = [
        file
        for name in ("requirements.txt", "package.json", "package-lock.json")
        if (file := peer.folder / name).exists()
    ]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in pins) + sys.version.encode()).hexdigest()
    stamp = environment / STAMP
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"installing {peer.name}")
        shutil.rmtree(environment, ignore_errors=True)
        environment.mkdir(parents=True)
        for command in _commands(peer, environment, home):
            _run(peer, command, environment)
        stamp.write_text(digest)
    runs, folder = str(environment / "bin" / "python"), peer.folder
    if peer.kind == "node":
        runs, folder = "node", environment
        for source in peer.folder.glob("*.js"):  # Node looks for packages in the folder of the file
            shutil.copy(source, environment)
    return Programs(runs, str(environment / peer.program) if peer.program else runs, folder)


def _commands(peer: Peer, environment: Path, home: Path) -> list[list[str]]:
    if peer.kind == "node":
        for name in ("package.json", "package-lock.json"):
            shutil.copy(peer.folder / name, environment)
        return [["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", f"--cache={home / 'npm'}"]]
    pip = [str(environment / "bin" / "pip"), "install", "--quiet", f"--cache-dir={home.parent / 'pip'}"]
    return [[sys.executable, "-m", "venv", str(environment)], [*pip, "-r", str(peer.folder / "requirements.txt")]]


def _run(peer: Peer, command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise CannotInstall(f"{peer.name} could not be installed ({' '.join(command[:3])} …):\n{done.stderr[-2000:]}")
