"""Writes what Sphinx reads: the pages of the repository in one folder, with links that lead to each other there.

A page keeps its place in the repository, where other files cite it; only its copy moves.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.site.diagrams import FOLDER as PICTURES
from tests.site.diagrams import with_pictures
from tests.site.reference import reference_pages

ROOT = Path(__file__).parent.parent.parent
# Pages of docs/ that are in no list here are guides: a new page is found without a change of this file.
SECTIONS: dict[str, list[str]] = {
    "Start": ["docs/tutorial.md", "README.md"],
    "Guides": [
        "docs/migrate-a-front-end.md",
        "docs/clients.md",
        "docs/move-from-django.md",
        "docs/operate.md",
        "docs/scale.md",
    ],
    "Reference": ["docs/contract.md", "docs/reference/*", "docs/security.md"],
    "Project": ["docs/architecture.md", "CONTRIBUTING.md", "docs/load/README.md", "CHANGELOG.md", "SECURITY.md"],
    "Decisions": ["docs/decisions/*"],
}
INDEX = "docs/index.md"
# A fenced block, or a link whose target is the second group.
PARTS = re.compile(r"^ *```.*?^ *```$|(\]\()([^)\s]+)(\))", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^( *```)(caddy|console)$", re.MULTILINE)  # Pygments does not know them, or wants prompts


def write_source(folder: Path) -> None:
    """Write every page of the site, and the files that they link to, below `folder`."""
    pages = {str(file.relative_to(ROOT)): file.read_text() for file in _files()}
    pages |= {f"docs/reference/{name}.md": text for name, text in reference_pages().items()}
    pages["docs/decisions/index.md"] = _decisions(pages)
    pages[INDEX] += _navigation(pages)
    for name, text in pages.items():
        written = folder / _place(name)
        written.parent.mkdir(parents=True, exist_ok=True)
        linked = _with_links_of_the_site(name, text, pages, folder)
        written.write_text(FENCE.sub(r"\1text", with_pictures(name, linked)))
    shutil.copytree(PICTURES, folder / "pictures", dirs_exist_ok=True)


def _files() -> Iterable[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def _place(name: str) -> str:
    """Where a file of the repository is on the site."""
    if name.startswith("docs/"):
        return name.removeprefix("docs/").replace("README.md", "index.md")
    return name.lower() if name.endswith(".md") else f"files/{name}"


def _with_links_of_the_site(name: str, text: str, pages: dict[str, str], folder: Path) -> str:
    """The text of a page with each link to a file of the repository as one to its place on the site.

    Raises FileNotFoundError for a link to what is not in the repository.
    """

    def replace(found: re.Match[str]) -> str:
        if found[2] is None or re.match(r"[a-z]+:|#", found[2]):
            return found[0]
        path, anchor, fragment = found[2].partition("#")
        target = os.path.normpath(Path(name).parent / path)
        if f"{target}/index.md" in pages:
            target = f"{target}/index.md"
        if target not in pages:
            if not (ROOT / target).is_file():
                raise FileNotFoundError(f"{name} links to {found[2]}, which is no file")
            copied = folder / _place(target)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / target, copied)
        place = os.path.relpath(_place(target), Path(_place(name)).parent)
        return f"{found[1]}{place}{anchor}{fragment}{found[3]}"

    return PARTS.sub(replace, text)


def _title(text: str) -> str:
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert found, "a page begins with its title"
    return found[1]


def _decisions(pages: dict[str, str]) -> str:
    """A list of the decisions by title."""
    names = sorted(name for name in pages if name.startswith("docs/decisions/"))
    lines = [f"- [{_title(pages[name])}]({Path(name).name})" for name in names]
    head = "# Decisions\n\nWhat was asked, which options were measured, what was chosen, and what it costs.\n\n"
    return head + "\n".join(lines) + "\n\n" + _toctree("", names, below="decisions")


def _navigation(pages: dict[str, str]) -> str:
    """The lists of pages for the side of every page: each page once."""
    listed: dict[str, list[str]] = {}
    for section, patterns in SECTIONS.items():
        found = []
        for pattern in patterns:
            beside = sorted(name for name in pages if str(Path(name).parent) == pattern.removesuffix("/*"))
            found += beside if pattern.endswith("*") else [pattern] if pattern in pages else []
        listed[section] = found
    listed["Decisions"] = ["docs/decisions/index.md"]
    decided = {name for name in pages if name.startswith("docs/decisions/")}
    listed["Guides"] += sorted(pages.keys() - decided - {INDEX} - {name for names in listed.values() for name in names})
    return "\n" + "\n".join(_toctree(section, names, below=".") for section, names in listed.items())


def _toctree(caption: str, names: list[str], *, below: str) -> str:
    places = [os.path.relpath(_place(name), below) for name in names]
    places = [f"Overview <{place}>" if place == "readme.md" else place for place in places]
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *places, "```", ""])
