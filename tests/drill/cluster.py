"""Three PostgreSQL nodes of the bundled programs with synchronous replication, kept by Patroni and one etcd.

As root each node has a network namespace of its own on a bridge, so that a node can be cut off. Otherwise all are on
127.0.0.1.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import requests

from server.postgres.binaries import find_binaries
from tests.attack.attacks import Skipped
from tests.drill.processes import send
from tests.load.processes import free_port, tree

NODES = 3
START_SECONDS = 120.0  # initdb, two base backups, everything synchronous
POLL_SECONDS = 0.1
REST_SECONDS = 2.0
NETWORK = "10.213.7"
USER = "postgres"
# The shortest times that Patroni accepts: a leader that is gone is replaced when its key has expired.
DCS = {"ttl": 20, "loop_wait": 2, "retry_timeout": 5, "primary_start_timeout": 0}
Found = TypeVar("Found")


@dataclass
class Node:
    """One machine: Patroni and its PostgreSQL."""

    name: str
    host: str
    port: int
    rest_port: int
    folder: Path
    within: list[str]
    """The command that begins every process of the node: into its network namespace, as its user."""
    switch: str = ""
    """The namespace of the bridge that its network cable `link` leads to; empty: it has none."""
    link: str = ""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def rest(self) -> str:
        """The URL of Patroni's REST interface."""
        return f"http://{self.host}:{self.rest_port}"

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        command = [*self.within, sys.executable, "-m", "patroni", str(self.folder / "patroni.json")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd="/", env=_environment(self.folder), stdout=log, stderr=log, start_new_session=True
            )

    def processes(self) -> list[int]:
        """Patroni, PostgreSQL and their children."""
        found = tree(self.process.pid) if self.process and self.process.poll() is None else []
        with contextlib.suppress(OSError, ValueError, IndexError):
            found += tree(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        return found

    def kill(self) -> None:
        """Kill every process at the same moment, as a machine that loses power."""
        found = self.processes()
        send(signal.SIGCONT, found)
        send(signal.SIGKILL, found)
        if self.process:
            self.process.wait()

    def plug(self, state: str) -> None:
        """Set its network cable `up` or `down`."""
        subprocess.run(["ip", "-n", self.switch, "link", "set", self.link, state], check=True)


class Cluster:
    """The nodes, their etcd, and what Patroni says of them."""

    def __init__(self, nodes: list[Node], etcd: "Etcd") -> None:
        self.nodes = nodes
        self.etcd = etcd

    @property
    def url(self) -> str:
        """DATABASE_URL with every node; the service takes the one that can be written to."""
        hosts = ",".join(f"{each.host}:{each.port}" for each in self.nodes)
        return f"postgresql://frontdesk@{hosts}/frontdesk?target_session_attrs=read-write&sslmode=disable"

    def states(self) -> dict[str, tuple[str, str]]:
        """The role and state of each node by its name, as the first node says that answers."""
        for node in self.nodes:
            with contextlib.suppress(requests.RequestException, ValueError, KeyError):
                members = requests.get(f"{node.rest}/cluster", timeout=REST_SECONDS).json()["members"]
                return {each["name"]: (each["role"], each["state"]) for each in members}
        return {}

    def leader(self) -> Node:
        """The node that leads now. Raises TimeoutError when there is none for long."""

        def look() -> Node | None:
            roles = self.states()
            return next((each for each in self.nodes if roles.get(each.name, ("", ""))[0] == "leader"), None)

        return wait_for("a leader", look)

    def standby(self) -> Node:
        """The node whose answer the leader waits for."""

        def look() -> Node | None:
            roles = self.states()
            return next((each for each in self.nodes if roles.get(each.name, ("", ""))[0] == "sync_standby"), None)

        return wait_for("a synchronous standby", look)

    def wait_whole(self) -> None:
        """Wait for a leader and for every other node to stream from it, one of them synchronously."""

        def look() -> bool:
            found = self.states()
            roles = sorted(role for role, _ in found.values())
            streams = [state for role, state in found.values() if role != "leader"]
            return roles == ["leader", "replica", "sync_standby"] and set(streams) == {"streaming"}

        wait_for("three nodes that replicate", look)

    def connect(self, user: str = "frontdesk", database: str = "frontdesk") -> "psycopg.Connection[Any]":
        """A connection to the leader."""
        node = self.leader()
        return psycopg.connect(
            host=node.host, port=node.port, user=user, dbname=database, autocommit=True, connect_timeout=5
        )

    def switch_over(self) -> None:
        """Have Patroni make the synchronous standby the leader."""
        leader, candidate = self.leader(), self.standby()
        answer = requests.post(
            f"{leader.rest}/switchover", json={"leader": leader.name, "candidate": candidate.name}, timeout=60
        )
        if answer.status_code != 200:
            raise RuntimeError(f"no switchover: {answer.status_code} {answer.text}")


def wait_for(what: str, look: Callable[[], Found | None], seconds: float = START_SECONDS) -> Found:
    """Call `look` until what it returns is true, and return that. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
    return found


@contextlib.contextmanager
def cluster(folder: Path, *, failsafe: bool = False) -> Iterator[Cluster]:
    """A cluster that serves, with the role and database of the service; stopped at the end. Raises Skipped.

    `failsafe`: Patroni's failsafe_mode. The primary goes on without etcd while it reaches every other node.
    """
    for program in ("etcd", *(("ip", "setpriv") if _is_root() else ())):
        if not shutil.which(program):
            raise Skipped(f"{program} is not installed (Debian: etcd-server, iproute2, util-linux)")
    if not importlib.util.find_spec("patroni"):
        raise Skipped("Patroni is not installed: pip install -e '.[test,drill]'")
    with contextlib.ExitStack() as stack:
        nodes = stack.enter_context(_network(folder))
        etcd = Etcd(folder, this_machine())
        stack.callback(etcd.kill)
        etcd.start()
        for node in nodes:
            _configure(node, etcd.address, failsafe=failsafe)
            stack.callback(node.kill)
            node.start()
        found = Cluster(nodes, etcd)
        try:
            found.wait_whole()
        except TimeoutError:
            print("\n".join(_end_of(each) for each in nodes), flush=True)
            raise
        with found.connect("postgres", "postgres") as connection:
            connection.execute("create role frontdesk login")
            connection.execute("create database frontdesk owner frontdesk")
        yield found


def _is_root() -> bool:
    return os.geteuid() == 0


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(folder)}


def _end_of(node: Node) -> str:
    return f"{node.name}: {(node.folder / 'log').read_text(errors='replace')[-1500:]}"


class Etcd:
    """An etcd of one member, which keeps its data."""

    def __init__(self, folder: Path, host: str) -> None:
        client, peer = free_port(), free_port()
        self.address = f"{host}:{client}"
        self._folder = folder
        place = folder / "etcd"
        place.mkdir(mode=0o700)
        client_url, peer_url = f"http://{self.address}", f"http://{host}:{peer}"
        self._command = ["etcd", "--name", "drill", "--data-dir", str(place), "--unsafe-no-fsync"]
        self._command += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
        self._command += ["--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url]
        self._command += ["--initial-cluster", f"drill={peer_url}"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the data that it had."""
        with (self._folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=_environment(self._folder), stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process:
            self._process.kill()
            self._process.wait()


def this_machine() -> str:
    """The address at which the nodes reach what runs beside them."""
    return f"{NETWORK}.1" if _is_root() else "127.0.0.1"


@contextlib.contextmanager
def _network(folder: Path) -> Iterator[list[Node]]:
    """The nodes, with a network namespace and a cable for each as root."""
    with contextlib.ExitStack() as stack:

        def ip(words: str, *, undo: str = "") -> None:
            subprocess.run(["ip", *words.split()], check=True)
            if undo:
                stack.callback(subprocess.run, ["ip", *undo.split()], check=False)

        # The bridge has a namespace of its own, too: the packet filter of this machine may drop what a bridge forwards.
        switch = f"dr{os.getpid()}"
        if _is_root():
            ip(f"netns add {switch}", undo=f"netns delete {switch}")
            ip(f"-n {switch} link add bridge type bridge")
            ip(f"-n {switch} link set bridge up")
            _cable(ip, switch, "machine", f"name {switch}")
            ip(f"address add {NETWORK}.1/24 dev {switch}")
            ip(f"link set {switch} up")
        nodes = []
        for number in range(1, NODES + 1):
            place = folder / f"node{number}"
            place.mkdir(mode=0o700)
            if _is_root():
                name, link = f"{switch}n{number}", f"node{number}"
                ip(f"netns add {name}", undo=f"netns delete {name}")
                _cable(ip, switch, link, f"name eth0 netns {name}")
                ip(f"-n {name} address add {NETWORK}.{10 + number}/24 dev eth0")
                ip(f"-n {name} link set eth0 up")
                ip(f"-n {name} link set lo up")
                user = pwd.getpwnam(USER if _has_user(USER) else "nobody")
                os.chown(place, user.pw_uid, user.pw_gid)
                within = ["ip", "netns", "exec", name, *_as_user(user)]
                nodes.append(Node(f"node{number}", f"{NETWORK}.{10 + number}", 5432, 8008, place, within, switch, link))
            else:
                nodes.append(Node(f"node{number}", "127.0.0.1", free_port(), free_port(), place, []))
        yield nodes


def _cable(ip: Callable[[str], None], switch: str, link: str, other_end: str) -> None:
    """Lay a cable from the bridge in the namespace `switch` to `other_end`."""
    # Made in the namespace of this process, because `netns` names a namespace from there.
    outside = f"{switch}x"
    ip(f"link add {outside} type veth peer {other_end}")
    ip(f"link set {outside} netns {switch} name {link}")
    ip(f"-n {switch} link set {link} master bridge up")


def _has_user(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def _as_user(user: pwd.struct_passwd) -> list[str]:
    """The command that begins a process of `user`. PostgreSQL does not run as root.

    It may read every file: the interpreter and the programs of PostgreSQL may be in a folder that only root can enter.
    """
    capability = "+dac_override"
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*become, f"--inh-caps={capability}", f"--ambient-caps={capability}"]


def _configure(node: Node, etcd: str, *, failsafe: bool) -> None:
    """Write the configuration of Patroni. JSON is YAML."""
    parameters = {"max_connections": 100, "wal_keep_size": "128MB"}
    dcs = DCS | {
        "failsafe_mode": failsafe,
        "synchronous_mode": True,
        "synchronous_mode_strict": True,  # with no standby, writes wait instead of being stored once
        "postgresql": {"use_pg_rewind": True, "parameters": parameters},
    }
    access = [f"host all all {net} trust" for net in (f"{NETWORK}.0/24", "127.0.0.1/32")]
    access += [f"host replication all {net} trust" for net in (f"{NETWORK}.0/24", "127.0.0.1/32")]
    configuration = {
        "scope": "drill",
        "name": node.name,
        "restapi": {"listen": f"{node.host}:{node.rest_port}", "connect_address": f"{node.host}:{node.rest_port}"},
        "etcd3": {"host": etcd},
        "bootstrap": {"dcs": dcs, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"]},
        "postgresql": {
            "listen": f"{node.host}:{node.port}",
            "connect_address": f"{node.host}:{node.port}",
            "data_dir": str(node.folder / "data"),
            "bin_dir": str(find_binaries(None).folder),
            "pgpass": str(node.folder / "pgpass"),
            "basebackup": [{"checkpoint": "fast"}],  # instead of after minutes
            "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "postgres"}},
            "parameters": {"unix_socket_directories": str(node.folder)},
            "pg_hba": ["local all all trust", *access],
        },
    }
    file = node.folder / "patroni.json"
    file.write_text(json.dumps(configuration))
    file.chmod(0o644)
