"""`python -m tests.site [FOLDER]`: build the documentation site, by default in `.cache/site/html`.

Every warning is a fault: a link that leads nowhere, a page in no section, a heading that is skipped. The pages load
nothing from other hosts. docs/decisions/documentation-site.md
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from tests.site.source import ROOT, write_source

FOLDER = ROOT / ".cache" / "site"
# What a browser loads by itself; links that a reader follows may lead anywhere.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["'](?:https?:)?//[^"']*|@import[^;]*//[^;]*"""
    r"""|<link(?=[^>]*rel=["'](?:stylesheet|preload|icon|preconnect))[^>]*href=["'](?:https?:)?//[^"']*"""
)


def main(arguments: list[str]) -> int:
    """Build the site: the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.site")
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=FOLDER / "html")
    html = parser.parse_args(arguments).folder
    is_own = html.is_relative_to(FOLDER) or (html / ".buildinfo").exists()
    if html.exists() and any(html.iterdir()) and not is_own:
        parser.error(f"{html} has other files, which would be deleted")
    # Here, because the command line needs no extra.
    from sphinx.cmd.build import main as sphinx

    source = FOLDER / "source"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    write_source(source)
    strict = ["--fail-on-warning", "--nitpicky", "--quiet", "--jobs", "auto"]
    cache = ["-d", str(FOLDER / "doctrees"), "-c", str(Path(__file__).parent)]
    status = sphinx([*strict, "--fresh-env", *cache, str(source), str(html)])
    pages = sorted(html.rglob("*.html"))
    foreign = {
        f"{page.relative_to(html)} loads {found}" for page in pages for found in LOADED.findall(page.read_text())
    }
    for text in sorted(foreign):
        print(text, file=sys.stderr)
    if status or foreign:
        return 1
    print(f"{len(pages)} pages: {html / 'index.html'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
