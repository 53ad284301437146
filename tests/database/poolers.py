"""PgBouncer from Debian in front of the PostgreSQL of the tests."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from server.settings.database_url import DatabaseUrl

START_SECONDS = 10
INSTALL = ["apt-get", "install", "-y", "-q", "pgbouncer"]


@contextlib.contextmanager
def pgbouncer(folder: Path, database_url: str, **options: str) -> Iterator[str]:
    """The URL of the database by way of a PgBouncer that runs during the block, with these `options`."""
    program = _program()
    url = DatabaseUrl.read(database_url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    of_server = f"host={url.hosts[0]} port={url.ports[0]} dbname={url.database} user={url.user}"
    lines = {"listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "any"} | options
    file = folder / f"pgbouncer-{port}.ini"
    file.write_text(
        f"[databases]\n{url.database} = {of_server}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    command = [program, str(file)]
    if os.geteuid() == 0:  # PgBouncer refuses root; PostgreSQL lets the owner of its socket in
        command[1:1] = ["-u", pwd.getpwuid(Path(url.hosts[0]).stat().st_uid).pw_name]
    with (folder / f"pgbouncer-{port}.log").open("wb") as log:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(port, running, Path(log.name))
        yield f"postgresql://{url.user}@127.0.0.1:{port}/{quote(url.database)}"
    finally:
        running.terminate()
        running.wait(timeout=START_SECONDS)


def _program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(INSTALL, env=environment, check=False, capture_output=True, timeout=300)
        found = shutil.which("pgbouncer", path="/usr/sbin")
    return found or pytest.skip(f"PgBouncer is not installed, and could not be: {' '.join(INSTALL)}")


def _wait_for(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
