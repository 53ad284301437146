"""What documents and comments name exists: files, links with their anchors, tests. Numbers: tests/test_documents.py."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_documents import files

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OF_PAGES = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
BY_LINK = r"(?<!!)\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)"

SAID = re.compile(r'"""((?:.|\n)*?)"""|(?:^|\s)#(.*)', re.MULTILINE)
# A page of names as they were.
HISTORY = ROOT / "docs" / "decisions" / "layout.md"
# Files that a page tells its reader to make.
MADE_BY_THE_READER = {"sql/profiles/count.sql"}
# A part of a path that stands for any: NNNN, KIND, LANGUAGE, *, <name>, …
ANY = re.compile(r"(?<![A-Za-z])[A-Z]{4,}(?![a-z])|[*<>{}…$]")


@functools.cache
def top_folders() -> set[str]:
    """The folders of the repository, and the packages of `server/`, which pages name without `server/`."""
    places = [file.relative_to(ROOT).parts for file in files()]
    return {each[0] for each in places if len(each) > 1} | {
        each[1] for each in places if each[0] == "server" and len(each) > 2
    }


def names_of_files(text: str) -> Iterator[str]:
    """Every name in backticks that looks like a file or a folder of the project, without what follows `::` or `#`."""
    for quoted in re.findall(r"`([^`\s]+)`", text):
        name = re.split("::|#", quoted)[0]
        in_folder = name.split("/")[0] in top_folders() and re.search(r"/$|\.[a-z]{2,4}$", name)
        if (in_folder or re.search(r"^[\w.]+\.(py|sql)$", name)) and not ANY.search(name):
            yield name


def exists(name: str, page: Path) -> bool:
    """Whether a file has the name: from the root, from `server/`, or beside the page. Without a folder: anywhere."""
    if "/" not in name and any(file.name == name for file in files()):
        return True
    return any((folder / name).exists() for folder in (ROOT, ROOT / "server", page.parent))


def prose_lines(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and most viewers of Markdown make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose_lines(page), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "]", heading).lower()).strip().replace(" ", "-")
        found.add(words if words not in found else f"{words}-1")
    return found


@functools.cache
def names_of_tests(name: str) -> set[str]:
    """The functions that a file holds; those in a class after the name of the class and `::`."""
    if not (ROOT / name).is_file():
        return set()
    found: set[str] = set()
    for node in ast.parse((ROOT / name).read_text()).body:
        inside = [(f"{node.name}::", each) for each in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        for prefix, each in inside:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + each.name)
    return found


@functools.cache
def comments(file: Path) -> str:
    """What a file says beside its code: comments and docstrings of Python, all of other files but code in pages."""
    text = file.read_text()
    if file.suffix == ".py":
        return "\n".join(text or comment for text, comment in SAID.findall(text))
    return prose_lines(file) if file.suffix == ".md" else text


@OF_PAGES
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)::((?:\w+::)?\w+)", page.read_text())
    wrong = [f"{file}::{name}" for file, name in named if name not in names_of_tests(file)]
    assert wrong == [], "the file has no such test, or does not exist"


def test_every_test_that_a_comment_or_a_page_names_exists() -> None:
    every = {name.rpartition("::")[2] for file in files() if file.suffix == ".py" for name in functions_of(file)}
    modules = {file.stem for file in files()} | {file.name for file in files()}
    said = {file: comments(file) for file in files() if file != HISTORY}
    named = {(file, name) for file, text in said.items() for name in re.findall(r"\btest_\w+", text)}
    unknown = [(str(file.relative_to(ROOT)), name) for file, name in named if name not in every | modules]
    wrong = [each for each in unknown if not ANY.search(each[1])]
    assert wrong == [], "no test has this name"


def functions_of(file: Path) -> set[str]:
    return names_of_tests(str(file.relative_to(ROOT)))


@OF_PAGES
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = [one or other for one, other in re.findall(BY_LINK, page.read_text())]
    wrong = []
    for target in (each for each in links if "://" not in each and not each.startswith("mailto:")):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == [], "the link leads to no file of the repository, or to no heading of the page"


@OF_PAGES
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = "" if page == HISTORY else prose_lines(page)
    wrong = [name for name in names_of_files(text) if not exists(name, page)]
    assert [name for name in wrong if name not in MADE_BY_THE_READER] == [], "there is no such file or folder"


def test_every_file_that_a_comment_names_exists() -> None:
    folders = "|".join(sorted(map(re.escape, top_folders() & {"server", "sql", "tests", "docs", "migrations"})))
    pattern = rf"(?<![\w/.])(?:{folders})/[\w/.-]*\w\.(?:py|sql|md|toml|txt|json)\b"
    named = {(file, name) for file in files() for name in re.findall(pattern, comments(file))}
    assert len(named) > 10
    wrong = [(str(file.relative_to(ROOT)), name) for file, name in named if not exists(name, file)]
    wrong = [each for each in wrong if not ANY.search(each[1]) and each[1] not in MADE_BY_THE_READER]
    assert wrong == [], "there is no such file"
