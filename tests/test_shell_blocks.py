"""Every shell block of the documentation is run by a test, or says why it is not."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.conftest import KEY
from tests.processes import surroundings
from tests.shell_blocks import ROOT, Block, block, blocks, running

# The comments above blocks in `sh`, and the file that runs these blocks.
RUN_BY = {
    "run it": "tests/browser/tutorial.py",
    "tutorial: *": "tests/browser/tutorial.py",
    "tour": "tests/process/test_clients.py",
    "roles: *": "tests/test_readme.py",
    "site file": "tests/test_shell_blocks.py",
    "migrate: *": "tests/test_shell_blocks.py",
    "move: *": "tests/commands/test_import_users.py",
    "clients: *": "tests/clients/generated.py",
    "some tests": "tests/test_shell_blocks.py",
    "one test": "tests/test_shell_blocks.py",
    "systemd: *": "tests/deploy/systemd.py",
    "* line": ".ci/run",
}
PAGES = [str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]]
EVERY = [each for page in PAGES for each in blocks(page)]
SHELL = [each for each in EVERY if each.language in ("sh", "console")]


def runner(note: str) -> str | None:
    """The file that runs the block below a comment."""
    return next((file for form, file in RUN_BY.items() if re.fullmatch(form.replace("*", ".+"), note)), None)


def test_shell_blocks_are_written_as_sh_or_console() -> None:
    assert len(SHELL) > 20
    others = [each for each in EVERY if each.language in ("bash", "shell", "zsh", "shell-session")]
    assert others == [], "a block that a test runs is `sh`, another one `console` (CONTRIBUTING.md, Documentation)"


@pytest.mark.parametrize("shown", [each for each in SHELL if each.language == "sh"], ids=lambda each: each.note)
def test_a_block_in_sh_is_run_by_the_file_of_its_comment(shown: Block) -> None:
    file = runner(shown.note)
    assert file, (
        f"{shown.page}: name the block in a comment above it, and the file that runs it in RUN_BY:\n{shown.text}"
    )
    last_word = shown.note.partition(": ")[2] or shown.note
    assert last_word in (ROOT / file).read_text(), f"{file} runs no block {shown.note!r}"


@pytest.mark.parametrize("shown", [each for each in SHELL if each.language == "console"], ids=lambda each: each.page)
def test_a_block_in_console_says_why_no_test_runs_it(shown: Block) -> None:
    assert re.fullmatch("not run: .{10,}", shown.note), (
        f"{shown.page}: `<!-- not run: REASON -->` above it:\n{shown.text}"
    )


def test_the_page_of_clients_names_the_versions_that_are_tried() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    tried = json.loads((ROOT / "tests" / "clients" / "package.json").read_text())["devDependencies"]
    named = dict(re.findall(r"([@\w/-]+)@(\d[\d.]+)", page))
    assert set(named) == {"openapi-typescript", "openapi-fetch", "@hey-api/openapi-ts", "orval"}
    assert named.items() <= tried.items()
    (python,) = re.findall(r"openapi-python-client==[\d.]+", page)
    assert python in (ROOT / "setup.cfg").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "note"), [("README.md", "site file"), ("docs/migrate-a-front-end.md", "migrate: the service")]
)
def test_a_line_that_starts_the_service_with_a_site_file_starts_it(
    database_url: str, tmp_path: Path, page: str, note: str
) -> None:
    places = {"DATABASE_URL": database_url, "SIGNING_KEY": KEY, "PORT": "0", "DATA_DIR": str(tmp_path)}
    with running(block(page, note), ROOT, r"listens on (\S+)/", own_python=True, **places) as url:
        site = requests.get(f"{url}/api/site/", timeout=10).json()
    assert site["account"]["username"] == "none"


@pytest.mark.slow
@pytest.mark.parametrize("note", ["some tests", "one test"])
def test_a_line_that_runs_tests_names_tests_that_exist(note: str) -> None:
    # Only collected: a run inside this run would remove the files of this one.
    python = f"{Path(sys.executable).parent}/"
    script = block("CONTRIBUTING.md", note).strip().replace(".venv/bin/", python) + " --collect-only"
    ran = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=surroundings(), capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
