"""The documents agree with the code: cited numbers, shown commands. What they name: tests/test_references.py."""

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACT = (ROOT / "docs" / "contract.md").read_text()
SECURITY = (ROOT / "docs" / "security.md").read_text()
NOT_PROSE = {".json", ".svg", ".png", ".gz", ".lock"}
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
NUMBERS = rf"{NUMBER}(?:(?:, and |, or | and | or | to |, |,|/|-|–)§?{NUMBER})*"


@functools.cache
def files() -> list[Path]:
    """Every text file that git tracks or would track; what is vendored or measured is left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [ROOT / name for name in names if Path(name).suffix not in NOT_PROSE and "/swagger/" not in name]
    return [file for file in found if file.is_file()]


@functools.cache
def prose(file: Path) -> str:
    """The text of a file with each line break, and the comment sign that follows it, as one space."""
    return re.sub(r"\s*\n\s*(?:#|--|//)?\s*", " ", file.read_text())


def numbers(pattern: str, text: str) -> Iterator[str]:
    """Every number in what the group of `pattern` matches. Of a range, its ends."""
    for found in re.findall(pattern, text):
        yield from re.findall(NUMBER, found)


def named(page: str, text: str) -> Iterator[str]:
    """The numbers that follow the name of a page (`contract 1.3`, `security.md, rules 8 and 9`), or that it follows."""
    kinds = "(?:§ ?|sections? |rules? )"
    yield from numbers(rf"\b(?i:{page})(?:\.md)?[`)\]]*,? {kinds}?({NUMBERS})\b", text)
    yield from numbers(rf"\b(?i:{kinds})({NUMBERS}) (?:of|in) (?:the )?[`\[]*(?:docs/)?(?i:{page})\b", text)


def citations(page: str, alone: str = "(?!)") -> list[tuple[str, str]]:
    """Every number of `page` that is cited, with the file that cites it. `alone` cites without the name of the page."""
    found = {str(file.relative_to(ROOT)): prose(file) for file in files() if file != Path(__file__)}
    return [(name, number) for name, text in found.items() for number in [*named(page, text), *numbers(alone, text)]]


def sections() -> set[str]:
    """The sections of the contract, and the rows of section 11."""
    headings = re.findall(r"^##+ ([0-9]+(?:\.[0-9]+)?)\.? ", CONTRACT, re.MULTILINE)
    rows = re.findall(r"^\| ([0-9]+) \| ", CONTRACT, re.MULTILINE)
    return {*headings, *(f"11.{row}" for row in rows)}


def rules() -> dict[str, str]:
    """The text of each security rule, by its number."""
    parts = re.split(r"^### ([0-9]+)\. ", SECURITY, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# Written like this, in these lines, so that the search above finds what it should.
EXAMPLES = """
contract 1.3, contract §1.4; contract.md 1.5, `docs/contract.md` section 1.6. Sections 1.7 and 2.1 of the contract.
security 1, security rule 2, security rules 3, rule 4 of security, security.md 5, security 6/7, security 8-9,
security 10 to 11, (security 12, 13 and 14), rules 15 to 16, [security.md](security.md) rule 17; security
-- 18
"""
# RFC 9112, section 3.2, is of another document.
SECTIONS = rf"(?<!RFC [0-9]{{4}}, )\b(?i:sections?) ({NUMBERS})\b"
RULES = rf"\b(?i:rules?) ({NUMBERS})\b"


def test_every_form_of_a_citation_is_found(tmp_path: Path) -> None:
    (tmp_path / "examples").write_text(EXAMPLES)
    text = prose(tmp_path / "examples")
    of_contract = {*named("contract", text), *numbers(SECTIONS, text)}
    assert of_contract == {"1.3", "1.4", "1.5", "1.6", "1.7", "2.1"}
    of_security = {*named("security", text), *numbers(RULES, text)}
    assert sorted(of_security, key=int) == [str(number) for number in range(1, 19)]


def test_every_citation_of_the_contract_exists() -> None:
    cited = citations("contract", SECTIONS)
    rows = [(name, f"11.{number}") for name, number in citations("(?!)", rf"\brows? ({NUMBERS}) of section 11\b")]
    within = [
        ("docs/contract.md", number) for number in re.findall(r"\b11\.[0-9]+|(?<=\()[0-9]\.[0-9](?=\))", CONTRACT)
    ]
    assert len(cited) > 50
    assert len(within) > 20
    assert rows
    wrong = [each for each in cited + rows + within if each[1] not in sections()]
    assert wrong == [], "docs/contract.md has no section, and section 11 no row, of this number"


def test_every_citation_of_a_security_rule_exists() -> None:
    cited = citations("security", RULES)
    assert len(cited) > 50
    assert [each for each in cited if each[1] not in rules()] == [], "docs/security.md has no rule of this number"


def test_security_rules_are_cited_by_their_present_name_only() -> None:
    assert citations("trust") == []


def test_security_rules_are_numbered_without_gaps() -> None:
    assert [*rules()] == [str(number) for number in range(1, 48)]


@pytest.mark.parametrize("number", rules())
def test_a_security_rule_names_its_tests_or_says_that_it_is_not_yet_kept(number: str) -> None:
    assert "`tests/" in rules()[number] or "**Not yet (planned)" in rules()[number]


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


def test_the_picture_of_the_page_is_shown_and_small() -> None:
    name = "docs/pictures/swagger-ui.png"
    assert f"({name})" in (ROOT / "README.md").read_text()
    assert (ROOT / name).stat().st_size < 150_000
