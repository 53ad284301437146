"""The documents agree with the code: cited numbers, named tests and files, shown commands."""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONTRACT = (ROOT / "docs" / "contract.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
SOURCES = {".py", ".sql", ".md", ".html", ".txt", ".cfg", ".toml"}
NUMBERS = r"[0-9]+(?:\.[0-9]+)?(?:(?:, | and )[0-9]+(?:\.[0-9]+)?)*"


@functools.cache
def files() -> list[Path]:
    """Every text file that git tracks or would track; what is vendored is left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [ROOT / name for name in names if Path(name).suffix in SOURCES and "/swagger/" not in name]
    return [file for file in found if file.is_file()]


def prose(file: Path) -> str:
    """The text of a file with each line break, and the comment sign that follows it, as one space."""
    return re.sub(r"\s*\n\s*(?:#|--)?\s*", " ", file.read_text())


def citations(page: str) -> Iterator[tuple[str, str]]:
    """Every number of `page` that is cited, with the file that cites it."""
    for file in files():
        for found in re.findall(rf"\b(?i:{page}),? (?:sections? )?({NUMBERS})\b", prose(file)):
            yield from ((str(file.relative_to(ROOT)), number) for number in re.split(", | and ", found))


def sections() -> set[str]:
    """The sections of the contract, and the rows of section 11."""
    headings = re.findall(r"^##+ ([0-9]+(?:\.[0-9]+)?)\.? ", CONTRACT, re.MULTILINE)
    rows = re.findall(r"^\| ([0-9]+) \| ", CONTRACT, re.MULTILINE)
    return {*headings, *(f"11.{row}" for row in rows)}


def rules() -> dict[str, str]:
    """The text of each security rule, by its number."""
    parts = re.split(r"^### ([0-9]+)\. ", SECURITY, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@functools.cache
def names_of_tests(name: str) -> set[str]:
    """The tests that a file holds: `test_x`, or `TestY::test_x` in a class."""
    if not (ROOT / name).is_file():
        return set()
    found: set[str] = set()
    for node in ast.parse((ROOT / name).read_text()).body:
        inside = [(f"{node.name}::", each) for each in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        for prefix, each in inside:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + each.name)
    return found


def test_every_citation_of_the_contract_exists() -> None:
    cited = [*citations("contract")]
    assert len(cited) > 50
    assert [each for each in cited if each[1] not in sections()] == []


def test_every_citation_of_a_security_rule_exists() -> None:
    cited = [*citations("security")]
    assert cited
    assert [each for each in cited if each[1] not in rules()] == []


def test_security_rules_are_cited_by_their_present_name_only() -> None:
    assert [*citations("trust")] == []


def test_security_rules_are_numbered_without_gaps() -> None:
    assert [*rules()] == [str(number) for number in range(1, 44)]


@pytest.mark.parametrize("number", rules())
def test_a_security_rule_names_its_tests_or_says_that_it_is_not_yet_kept(number: str) -> None:
    assert "`tests/" in rules()[number] or "**Not yet (planned)" in rules()[number]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)::((?:\w+::)?\w+)", page.read_text())
    assert [f"{file}::{name}" for file, name in named if name not in names_of_tests(file)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    targets = [each.partition("#")[0] for each in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    local = [each for each in targets if each and "://" not in each]
    assert [each for each in local if not (page.parent / each).exists()] == []


def test_every_page_that_code_or_a_page_names_exists() -> None:
    named = {(file, name) for file in files() for name in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text())}
    assert len(named) > 10
    assert [(str(file.relative_to(ROOT)), name) for file, name in named if not (ROOT / name).is_file()] == []


def recipes() -> dict[str, str]:
    """The commands of the task file by their names."""
    return dict(re.findall(r"^(\w+)(?: \*\w+)?:\n    (.+)$", (ROOT / "justfile").read_text(), re.MULTILINE))


def test_a_task_runs_a_line_that_readme_or_contributing_shows() -> None:
    shown = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md")).splitlines()
    assert {"dev", "test", "fix", "browser", "load", "attack"} <= recipes().keys()
    plain = {name: line for name, line in recipes().items() if "{{" not in line}
    assert [name for name, line in plain.items() if line not in shown] == []


def test_the_first_heading_of_the_changelog_is_for_what_is_not_released() -> None:
    assert re.findall("^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == "Unreleased"
