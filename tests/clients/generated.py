"""Generators make clients of the document without a warning; the clients have strict types, and they work."""

import json
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
from tests.shell_blocks import block

HERE = Path(__file__).parent
PAGE = "docs/clients.md"
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
SHOWN = {
    "openapi-python-client": "page.py",
    "openapi-typescript": "page_fetch.ts",
    "@hey-api/openapi-ts": "page_hey.ts",
    "orval": "page_orval.ts",
}
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
    """Generate one client from the document of a site, with the line of the page."""
    if generator == "orval":
        settings = block(PAGE, "clients: the settings of orval")
        (folder / f"{site}.orval.config.mjs").write_text(of_site(settings, site, url))
    return run("bash", "-euc", of_site(block(PAGE, f"clients: {generator}"), site, url), folder=folder)


def of_site(text: str, site: str, url: str = "") -> str:
    """A block of the page with the names, the programs and the service of this run."""
    replaced = {
        ".venv/bin/": f"{PROGRAMS}/",
        "npx ": f"{MODULES}/",  # npx itself may warn about the settings of npm
        "orval.config.mjs": f"{site}.orval.config.mjs",
        "openapi.json": f"{site}.json",
        "frontdesk_": f"{site}_",
        "http://127.0.0.1:8080": url,
    }
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


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
    for name in ("tsconfig.json", "mypy.ini", "redocly.yaml", "spectral.yaml"):
        shutil.copy(HERE / name, folder)
    with ThreadPoolExecutor(4) as pool:
        services = dict(zip(SITES, pool.map(lambda site: begin(postgres, site), SITES), strict=True))
        for site, service in services.items():
            (folder / f"{site}.json").write_bytes(service_document(service))
        write_programs_of_the_page(folder, services["stock"])
        tasks = [(generator, site) for site in SITES for generator in GENERATORS]
        ran = pool.map(lambda task: generate(task[0], task[1], folder, services[task[1]].url), tasks)
        found = pool.map(lambda linter: lint(linter, folder), LINTERS)
        said = dict(zip(tasks, ran, strict=True))
        linted = dict(zip(LINTERS, found, strict=True))
    yield Workshop(folder, services, said, linted)
    for service in services.values():
        service.stop()


def write_programs_of_the_page(folder: Path, service: Started) -> None:
    """Write the programs that the page shows beside the others, and register the account that signs in there."""
    person = {"username": "anna", "password": "correct horse battery"}
    requests.post(f"{service.url}/auth/users/", json=person, timeout=10).raise_for_status()
    for generator, file in SHOWN.items():
        text = of_site(block(PAGE, f"clients: signing in with {generator}"), "stock", service.url)
        if file.endswith(".ts"):
            # A program of CommonJS, as the others are, has no `await` outside of a function.
            imports, _, rest = text.partition("\n\n")
            text = f"{imports}\n\nasync function main(): Promise<void> {{\n{rest}}}\n\nvoid main()\n"
        (folder / file).write_text(text)


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
    targets = ["page.py", *(f"{site}.py" for site in SITES), *(f"{site}_client" for site in SITES)]
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


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("file", SHOWN.values())
def test_a_program_of_the_page_signs_in_and_reads_the_account(workshop: Workshop, file: str) -> None:
    node = [PROGRAMS / "node", f"built/{file.removesuffix('.ts')}.js"]
    ran = run(*(node if file.endswith(".ts") else [sys.executable, file]), folder=workshop.folder)
    assert (ran.status, ran.said) == (0, "anna\n")


def test_the_command_prints_the_document_that_the_service_shows(workshop: Workshop) -> None:
    folder = workshop.folder / "printed"
    folder.mkdir(exist_ok=True)
    line = block(PAGE, "clients: the document").replace(".venv/bin/", f"{PROGRAMS}/")
    for site, settings in SITES.items():
        assert run("bash", "-euc", line, folder=folder, **settings).status == 0
        shown = workshop.folder / f"{site}.json"
        assert json.loads((folder / "openapi.json").read_text()) == json.loads(shown.read_text())


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_has_nothing_to_say(workshop: Workshop, linter: str) -> None:
    ran = workshop.found[linter]
    assert ran.status == 0, ran.said
    assert "warning" not in ran.said.lower(), ran.said
