"""Generators make clients of the document without a warning; the clients have strict types, and they work."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import requests

from server.postgres.bundled import BundledPostgres, attach
from tests.clients.__main__ import FOLDER, with_node
from tests.conftest import KEY
from tests.processes import Started

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
MODULES = FOLDER / "node_modules" / ".bin"
RUN_SECONDS = 120
SITES: dict[str, dict[str, str]] = {
    "stock": {},
    "school": {"SITE_FILE": str(HERE / "school.toml"), "LOGIN_FIELD": "email"},
}
LINTERS = {
    "redocly": ["lint", "--config", "redocly.yaml"],
    "spectral": ["lint", "--ruleset", "spectral.yaml", "--fail-severity", "hint"],
}
GENERATORS = ("openapi-python-client", "openapi-typescript", "@hey-api/openapi-ts", "orval")
TYPESCRIPT = ("fetch", "hey", "orval")
WARNING = re.compile(r"warn|error|unsupported|skip|deprecat", re.IGNORECASE)


@dataclass
class Ran:
    """A program that has ended."""

    status: int
    said: str


@dataclass
class Workshop:
    """The folder of the generated clients, with a service of each site, and what generators and linters said."""

    folder: Path
    services: dict[str, Started]
    said: dict[tuple[str, str], Ran]
    found: dict[str, Ran]


def run(*command: str | Path, folder: Path, **environment: str) -> Ran:
    """Run a program in `folder`."""
    ran = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=with_node() | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
    )
    return Ran(ran.returncode, ran.stdout)


def generate(generator: str, site: str, folder: Path, url: str) -> Ran:
    """Generate one client from the document of a site."""
    document = f"{site}.json"
    if generator == "openapi-python-client":
        options = ["--meta", "none", "--fail-on-warning", "--output-path", f"{site}_client"]
        return run(PROGRAMS / generator, "generate", "--path", document, *options, folder=folder)
    if generator == "openapi-typescript":
        return run(MODULES / generator, document, "-o", f"{site}_types.ts", folder=folder)
    if generator == "@hey-api/openapi-ts":
        return run(MODULES / "openapi-ts", "-i", document, "-o", f"{site}_hey_client", "--no-log-file", folder=folder)
    names = {"DOCUMENT": document, "TARGET": f"{site}_orval_client.ts", "SERVICE": url}
    return run(MODULES / "orval", "--config", "orval.config.mjs", folder=folder, **names)


def lint(linter: str, folder: Path) -> Ran:
    """Let a linter read the documents of all sites."""
    return run(MODULES / linter, *LINTERS[linter], *(f"{site}.json" for site in SITES), folder=folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[BundledPostgres]:
    """PostgreSQL with a database for each site."""
    found = attach(FOLDER / "data", durable=False, say=lambda text: None)
    with psycopg.connect(found.url("postgres", user="postgres"), autocommit=True) as superuser:
        for site in SITES:
            superuser.execute(f"drop database if exists {site} with (force)".encode())
            superuser.execute(f"create database {site} owner frontdesk".encode())
    yield found
    found.release()


@pytest.fixture(scope="session")
def workshop(postgres: BundledPostgres) -> Iterator[Workshop]:
    """Every generated client, beside the programs that use them."""
    folder = FOLDER / "work"  # below it TypeScript finds the packages
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "programs", folder)
    for name in ("tsconfig.json", "orval.config.mjs", "mypy.ini", "redocly.yaml", "spectral.yaml"):
        shutil.copy(HERE / name, folder)
    with ThreadPoolExecutor(4) as pool:
        services = dict(zip(SITES, pool.map(lambda site: begin(postgres, site), SITES), strict=True))
        for site, service in services.items():
            (folder / f"{site}.json").write_bytes(service_document(service))
        tasks = [(generator, site) for site in SITES for generator in GENERATORS]
        ran = pool.map(lambda task: generate(task[0], task[1], folder, services[task[1]].url), tasks)
        found = pool.map(lambda linter: lint(linter, folder), LINTERS)
        said = dict(zip(tasks, ran, strict=True))
        linted = dict(zip(LINTERS, found, strict=True))
    yield Workshop(folder, services, said, linted)
    for service in services.values():
        service.stop()


def begin(postgres: BundledPostgres, site: str) -> Started:
    """Start the service of a site."""
    return Started(DATABASE_URL=postgres.url(site), SIGNING_KEY=KEY, **SITES[site])


def service_document(service: Started) -> bytes:
    """The document that a service shows."""
    return requests.get(f"{service.url}/openapi.json", timeout=10).content


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_generator_has_nothing_to_say(workshop: Workshop, generator: str, site: str) -> None:
    ran = workshop.said[generator, site]
    assert ran.status == 0, ran.said
    assert WARNING.findall(ran.said) == [], ran.said


def test_the_python_clients_and_their_users_have_strict_types(workshop: Workshop) -> None:
    targets = [*(f"{site}.py" for site in SITES), *(f"{site}_client" for site in SITES)]
    cache = FOLDER / "mypy"
    ran = run(PROGRAMS / "mypy", "--config-file", "mypy.ini", "--cache-dir", cache, *targets, folder=workshop.folder)
    assert ran.status == 0, ran.said


@pytest.fixture(scope="session")
def built(workshop: Workshop) -> Ran:
    """The TypeScript programs, checked and turned into JavaScript."""
    return run(MODULES / "tsc", folder=workshop.folder)


def test_the_typescript_clients_and_their_users_have_strict_types(built: Ran) -> None:
    assert built.status == 0, built.said


@pytest.mark.parametrize("site", SITES)
def test_the_python_client_works(workshop: Workshop, site: str) -> None:
    ran = run(sys.executable, f"{site}.py", workshop.services[site].url, folder=workshop.folder)
    assert ran.status == 0, ran.said


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("client", TYPESCRIPT)
def test_the_typescript_client_works(workshop: Workshop, client: str, site: str) -> None:
    program = f"built/{site}_{client}.js"
    ran = run(PROGRAMS / "node", program, workshop.services[site].url, folder=workshop.folder)
    assert ran.status == 0, ran.said


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_has_nothing_to_say(workshop: Workshop, linter: str) -> None:
    ran = workshop.found[linter]
    assert ran.status == 0, ran.said
    assert "warning" not in ran.said.lower(), ran.said
