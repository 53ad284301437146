"""Texts for people, from Jinja2 templates: those that come along, or a site's own (`TEMPLATES_DIR`).

A template is found by language and name, the site's folder first: `de/letters/activation.txt`. What a language lacks
is said in English.
"""

import re
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

LANGUAGE = "en"  # of whoever names no language that there is
TEXTS = Path(__file__).parent / "texts"
IS_LANGUAGE = re.compile("[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # the folders that are languages (RFC 5646 §2.1)

KINDS = ("letters", "pages")  # the folders of a language, and of what all languages share

MAX_HEADER = 1000  # characters of an Accept-Language that are read
RANGE = re.compile(r"(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)(?:\s*;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")


class Templates:
    """Renders the templates of `folder`, and those that come along where it has none of the name."""

    def __init__(self, folder: Path | None = None) -> None:
        folders = [folder, TEXTS] if folder else [TEXTS]
        # Sandboxed: who may write a letter for a site need not be whom it trusts with the process.
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=jinja2.select_autoescape(["html"], default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._folder = folder
        found = {
            each.name for one in folders for each in one.iterdir() if any((each / kind).is_dir() for kind in KINDS)
        }
        self.languages: tuple[str, ...] = (LANGUAGE, *sorted(filter(IS_LANGUAGE.fullmatch, found - {LANGUAGE})))

    def faults(self) -> list[str]:
        """Why templates of the site's own folder cannot be used, as far as shows without rendering them."""
        if self._folder is None:
            return []
        files = [
            file for kind in KINDS for form in ("html", "txt") for file in self._folder.glob(f"**/{kind}/*.{form}")
        ]
        names = sorted(file.relative_to(self._folder).as_posix() for file in files)
        return [fault for name in names if (fault := self._fault(name))]

    def _fault(self, name: str) -> str:
        try:
            self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as failure:
            return f"{failure.name}, line {failure.lineno}: {failure.message}"
        except (jinja2.TemplateError, OSError, ValueError) as failure:
            return f"{name}: {failure}"
        return ""

    def render(self, language: str, name: str, **facts: Any) -> str:
        """The text of template `LANGUAGE/name`, in English where the language is not there.

        The template finds out by `language` which one it was. Raises jinja2.TemplateError for a template that cannot
        be read, or that names what is not among `facts`.
        """
        template = self._find(language, name)
        return template.render(facts | {"language": str(template.name).split("/")[0]})

    def belong(self, language: str, name: str, other: str) -> bool:
        """Whether `name` may stand beside `other`: they lie side by side, or it is the site's own.

        A site that writes only the text of a letter has not written the HTML that comes along.
        """
        one, two = (Path(str(self._find(language, each).filename)) for each in (name, other))
        return one.parent == two.parent or not one.is_relative_to(TEXTS)

    def _find(self, language: str, name: str) -> jinja2.Template:
        languages = [language, LANGUAGE] if language in self.languages else [LANGUAGE]
        return self._environment.select_template([f"{each}/{name}" for each in languages])

    def choose(self, accept_language: str) -> str:
        """The language of an Accept-Language header that there is, the most wanted first (RFC 9110 §12.5.4)."""
        wanted = []
        for part in accept_language[:MAX_HEADER].lower().split(","):
            found = RANGE.fullmatch(part.strip())
            if found:
                wanted.append((float(found[2] or 1), found[1]))
        refused = {language for quality, range_ in wanted if not quality for language in self._match(range_)[:1]}
        for quality, range_ in sorted(wanted, key=lambda each: -each[0]):
            for language in self._match(range_) if quality else []:
                if language not in refused:
                    return language
        return LANGUAGE

    def _match(self, range_: str) -> list[str]:
        """The languages that a range means, the nearest first: `de-AT` is `de` where there is none of its own."""
        if range_ == "*":
            return list(self.languages)
        parts = range_.split("-")
        shorter = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
        nearest = [language for tag in shorter for language in self.languages if language.lower() == tag]
        return nearest + [language for language in self.languages if language.lower().startswith(range_ + "-")]
