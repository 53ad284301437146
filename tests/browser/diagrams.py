"""The diagrams of the documentation are drawn by Mermaid in Chromium; `--renew` stores the pictures for the site."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.npm import MERMAID
from tests.site.diagrams import FOLDER, SCHEMES, every_diagram

THEMES: dict[str, dict[str, object]] = {
    "light": {"theme": "default"},
    "dark": {"theme": "dark", "themeVariables": {"noteTextColor": "#f0f0f0"}},  # its own has too little contrast
}
# Drawn narrow, since a picture keeps the size of its text and a page of the site is 736 px wide. Labels are measured
# where they are drawn: with DejaVu Sans, which Debian's Chromium takes and which is wider than Arial and Helvetica.
SETTINGS = {
    "startOnLoad": False,
    "securityLevel": "strict",
    "deterministicIds": True,
    "fontFamily": "Arial, Helvetica, sans-serif",
    "flowchart": {"nodeSpacing": 20, "rankSpacing": 24},
    "sequence": {"wrap": True, "width": 170, "actorMargin": 10, "noteMargin": 8, "mirrorActors": False},
}
DRAW = """async ([text, settings, name]) => {
    mermaid.initialize(settings)
    const { svg } = await mermaid.render(name, text)
    const holder = document.createElement("div")
    holder.innerHTML = svg
    const drawn = holder.firstElementChild
    const [, , width, height] = drawn.getAttribute("viewBox").split(" ").map(parseFloat)
    drawn.setAttribute("width", Math.ceil(width))
    drawn.setAttribute("height", Math.ceil(height))
    drawn.removeAttribute("style")
    return new XMLSerializer().serializeToString(drawn)
}"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_diagrams_of_the_documentation_are_drawn(
    chromium: Browser, scheme: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    page = chromium.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.set_content("<!doctype html>")
    page.add_script_tag(content=MERMAID.path.read_text())
    folder = FOLDER if pytestconfig.getoption("--renew") else tmp_path
    for diagram in every_diagram():
        settings = SETTINGS | THEMES[scheme]
        svg = page.evaluate(DRAW, [diagram.text, settings, f"diagram-{diagram.number}"])
        assert svg.startswith("<svg")
        file = diagram.picture(scheme)
        for old in folder.glob(f"{Path(diagram.page).stem}-{diagram.number}-*-{scheme}.svg"):
            old.unlink()
        (folder / file.name).write_text(svg + "\n")
    page.close()
    assert requested == []
