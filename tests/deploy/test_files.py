"""Each file of deploy/ is accepted by the program that reads it. `python -m tests.deploy` installs those programs."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from server.settings.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
MANIFESTS = DEPLOY / "kubernetes" / "frontdesk.yaml"
PLACES = "/usr/sbin:/usr/bin:/usr/local/bin"


def program(name: str) -> str:
    """The path of a program; without it the test is skipped."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed: python -m tests.deploy installs it")
    return found


def accepts(*command: str | Path) -> None:
    """Run a check; its output is in the failure."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ended.returncode == 0, ended.stdout
    assert "warn" not in ended.stdout.lower(), ended.stdout


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "frontdesk.service"
    # systemd looks for the program, which is not installed here.
    unit.write_text((DEPLOY / "systemd" / unit.name).read_text().replace("/opt/frontdesk/bin/frontdesk", "/bin/true"))
    folder = tmp_path / "frontdesk.service.d"
    folder.mkdir()
    shutil.copy(DEPLOY / "systemd" / "own-database.conf", folder)
    accepts(program("systemd-analyze"), "verify", unit)


def test_nginx_accepts_the_server_block(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("accounts.example.com")
    certificate.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    block = (DEPLOY / "nginx" / "frontdesk.conf").read_text()
    block = block.replace("/etc/ssl/accounts.example.com/", f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ {block} }}")
    accepts(program("nginx"), "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


@pytest.mark.parametrize("folder", ["caddy", "compose"])
def test_caddy_accepts_the_file(folder: str) -> None:
    accepts(
        program("caddy"), "adapt", "--validate", "--adapter", "caddyfile", "--config", DEPLOY / folder / "Caddyfile"
    )


def test_compose_accepts_the_file() -> None:
    accepts(program("docker-compose"), "-f", COMPOSE / "compose.yaml", "config", "--quiet")


def test_kubernetes_accepts_the_manifests() -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed: pip install -e '.[deploy]'")
    accepts(sys.executable, "-m", "kubernetes_validate", "--strict", MANIFESTS)


def test_settings_in_the_files_are_settings() -> None:
    known = {*Settings.names(), *Settings.names_of_files()}
    unit = "\n".join(file.read_text() for file in (DEPLOY / "systemd").iterdir())
    in_unit = set(re.findall(r"\b([A-Z][A-Z_]+)=\S", " ".join(re.findall("^Environment=(.*)$", unit, re.MULTILINE))))
    manifests, compose = MANIFESTS.read_text(), (COMPOSE / "compose.yaml").read_text()
    in_manifests = set(re.findall(r"^  ([A-Z][A-Z_]+):", manifests, re.MULTILINE))
    service = compose[compose.index("\n  frontdesk:") : compose.index("\n  pgbouncer:")]
    in_compose = set(re.findall(r"^ +([A-Z][A-Z_]+):", service, re.MULTILINE))
    assert min(map(len, (in_unit, in_manifests, in_compose))) >= 5
    assert in_unit | in_manifests | in_compose <= known | {"TMPDIR"}


def test_both_files_for_caddy_say_the_same() -> None:
    files = [(DEPLOY / folder / "Caddyfile").read_text() for folder in ("caddy", "compose")]
    alone, beside = (re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip() for text in files)
    assert alone.replace("127.0.0.1:8080", "frontdesk:8080") == beside
