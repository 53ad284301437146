"""The documentation site without its generator: the reference has what the code has, and each page a place."""

import re
from pathlib import Path
from xml.etree import ElementTree

from server.accounts.events import EVENT_KINDS
from server.commands.main import COMMANDS
from server.settings.settings import Settings
from tests.site.diagrams import FOLDER, RENEW, SCHEMES, every_diagram
from tests.site.reference import reference_pages
from tests.site.source import ROOT, write_source


def headings(page: str, text: dict[str, str]) -> set[str]:
    return set(re.findall(r"^###? (.+)$", text[page], re.MULTILINE))


def names(page: str, text: dict[str, str]) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)`", text[page], re.MULTILINE))


def test_the_reference_has_every_setting_command_endpoint_event_and_metric() -> None:
    pages = reference_pages()
    assert headings("settings", pages) == set(Settings.names())
    assert headings("commands", pages) == set(COMMANDS)
    assert names("events", pages) == set(EVENT_KINDS)
    assert len(names("metrics", pages)) > 20
    table = (ROOT / "tests" / "routes.txt").read_text().splitlines()
    routes = {f"{method} {path}" for path, method, *_ in map(str.split, table) if method != "*"}
    operations = headings("endpoints", pages)
    assert {each for each in operations if " /" in each} <= routes
    assert "GET /auth/users/me/export/" in operations
    assert {"email-alone.toml", "username-and-names.toml"} <= headings("site-file", pages)


def test_the_reference_shows_the_members_of_every_response() -> None:
    page = reference_pages()["endpoints"]
    rows = re.findall(r"^\| 2\d\d \|[^`\n]*`(\w+)`(.*)\|$", page, re.MULTILINE)
    assert {name for name, members in rows if not members.startswith(":")} == {"EmptyObject"}
    account = "`email`, `id`, `username`; not always: `is_active`, `is_staff`, `awaits_activation`, `pending_email`"
    assert f"| 200 | Done. `UserDetails`: {account}" in page
    assert f"| 200 | Done. array of `UserDetails`: {account}" in page


def test_every_page_of_the_repository_has_a_place_on_the_site(tmp_path: Path) -> None:
    write_source(tmp_path)
    index = (tmp_path / "index.md").read_text() + (tmp_path / "decisions" / "index.md").read_text()
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.md")} - {"index.md"}
    assert len(written) > 50
    listed = re.findall(r"^(?:Overview <)?([\w/.-]+\.md)>?$", index, re.MULTILINE)
    decisions = {f"decisions/{name}" for name in listed if "/" not in name}
    assert written <= {*listed, *decisions}
    assert (tmp_path / "files" / "examples" / "site" / "email-alone.toml").is_file()


def test_every_diagram_has_a_picture_of_its_present_text(tmp_path: Path) -> None:
    wanted = {each.picture(scheme).name for each in every_diagram() for scheme in SCHEMES}
    assert len(wanted) > 5
    assert {file.name for file in FOLDER.glob("*.svg")} == wanted, f"draw them: {RENEW}"
    write_source(tmp_path)
    assert "mermaid" not in (tmp_path / "architecture.md").read_text()


def test_a_picture_loads_nothing_and_runs_nothing() -> None:
    for file in FOLDER.glob("*.svg"):
        text = file.read_text()
        assert not re.search(r"<script|@import|\bon\w+=|(?:href|src)=[\"'](?!#)|url\([\"']?(?!#)", text), file.name
        ElementTree.fromstring(text)


def test_links_on_the_site_lead_to_pages_of_the_site(tmp_path: Path) -> None:
    write_source(tmp_path)
    assert "[CONTRIBUTING.md](contributing.md#style)" in (tmp_path / "architecture.md").read_text()
    assert "[docs/contract.md](contract.md)" in (tmp_path / "readme.md").read_text()
    assert "(../security.md)" in (tmp_path / "decisions" / "newcomer.md").read_text()
