"""The diagrams of the pages, which GitHub draws from their text, and the pictures of them that the site shows.

The name of a picture has a hash of the text that it was drawn from: a picture of another text is not found.
`tests/browser/diagrams.py` draws them.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "pictures"
SCHEMES = ("light", "dark")
RENEW = "python -m tests.browser -k diagram --renew"
FENCED = re.compile(r"^```mermaid\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Diagram:
    """A diagram of a page, the first one with the number 1, below `heading`."""

    page: str
    number: int
    heading: str
    text: str

    def picture(self, scheme: str) -> Path:
        """The file of its picture in the colours of `scheme`."""
        drawn_from = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        return FOLDER / f"{Path(self.page).stem}-{self.number}-{drawn_from}-{scheme}.svg"


def diagrams(page: str, text: str) -> list[Diagram]:
    """The diagrams of a page."""
    return [
        Diagram(page, number, HEADING.findall(text[: found.start()])[-1], found["text"])
        for number, found in enumerate(FENCED.finditer(text), 1)
    ]


def with_pictures(page: str, text: str) -> str:
    """The text of a page with links to pictures in the place of its diagrams.

    Raises FileNotFoundError for a diagram that was changed after it was drawn.
    """
    drawn = iter(diagrams(page, text))
    return FENCED.sub(lambda _: _shown(next(drawn)), text)


def _shown(diagram: Diagram) -> str:
    lines = ["````{container} diagram"]
    for scheme in SCHEMES:
        file = diagram.picture(scheme)
        if not file.exists():
            raise FileNotFoundError(f"{diagram.page}: the diagram below {diagram.heading!r} is not drawn: {RENEW}")
        # Furo shows one of both. The path is that from the root of the site.
        options = [f":alt: Diagram: {diagram.heading}", f":class: only-{scheme}"]
        lines += [f"```{{image}} /{file.relative_to(ROOT / 'docs')}", *options, "```"]
    return "\n".join([*lines, "````"])


def every_diagram() -> list[Diagram]:
    """The diagrams of all pages of docs/."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [each for page in pages for each in diagrams(str(page.relative_to(ROOT)), page.read_text())]
