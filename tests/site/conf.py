"""How Sphinx builds the documentation site. `source.py` writes what it reads."""

from server import __version__

project = "Frontdesk"
release = __version__
language = "en"
root_doc = "index"
extensions = ["myst_parser", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
# The anchors of headings, as GitHub makes them: links work in both places.
myst_heading_anchors = 4
# Commands and texts are quoted as they are: no typographic quotes.
smartquotes = False
# A part of a program or of a message, which need not be a whole text in its language.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "furo"
html_title = f"Frontdesk {release}"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["diagrams.css"]
html_use_index = False
html_show_copyright = False
templates_path: list[str] = []
