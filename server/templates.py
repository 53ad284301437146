"""Texts for people, from Jinja2 templates: those that come along, or a site's own (`TEMPLATES_DIR`)."""

from pathlib import Path
from typing import Any

LANGUAGE = "en"  # of whoever names no language that there is


class Templates:
    """Renders the templates of `folder`, and those that come along where it has none of the name."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.languages: tuple[str, ...] = (LANGUAGE, "de")

    def render(self, language: str, name: str, **facts: Any) -> str:
        """The text of template `LANGUAGE/name`, in English where the language is not there."""
        raise NotImplementedError

    def choose(self, accept_language: str) -> str:
        """The language of an Accept-Language header that there is, the most wanted first (RFC 9110 §12.5.4)."""
        raise NotImplementedError
