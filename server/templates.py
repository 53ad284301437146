"""Texts for people, from Jinja2 templates: the service's own, or those of a site (`TEMPLATES_DIR`).

A template is found by language and name (`de/letters/activation.txt`), first in the site's folder. A template that a
language does not have is rendered in English.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

DEFAULT_LANGUAGE = "en"
TEXTS = Path(__file__).parent / "texts"
LANGUAGE_TAG = re.compile("[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # RFC 5646 §2.1

TEMPLATE_FOLDERS = ("letters", "pages")  # of each language, and of what all languages share

ACCEPT_LANGUAGE_MAX_LENGTH = 1000  # characters; the rest is ignored
LANGUAGE_RANGE = re.compile(
    r"(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)(?:\s*;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def _is_language(folder: Path) -> bool:
    is_tag = LANGUAGE_TAG.fullmatch(folder.name) is not None
    return is_tag and any((folder / each).is_dir() for each in TEMPLATE_FOLDERS)


def _dotted(node: nodes.Node) -> str:
    """`variable` or `variable.member` for such a node; an empty text for others."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return f"{node.node.name}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""


class Templates:
    """Renders the templates of the site's `folder`; the service's own where the folder has none of that name."""

    def __init__(self, folder: Path | None = None) -> None:
        folders = [folder, TEXTS] if folder else [TEXTS]
        # Sandboxed: the right to edit letters must not give control of the process.
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=jinja2.select_autoescape(["html"], default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._folder = folder
        found = {each.name for one in folders for each in one.iterdir() if _is_language(each)}
        self.languages: tuple[str, ...] = (DEFAULT_LANGUAGE, *sorted(found - {DEFAULT_LANGUAGE}))

    def faults(self) -> list[str]:
        """Why templates of the site's folder cannot be used, as far as that is found without rendering them."""
        if self._folder is None:
            return []
        patterns = [f"**/{each}/*.{form}" for each in TEMPLATE_FOLDERS for form in ("html", "txt")]
        files = [file for pattern in patterns for file in self._folder.glob(pattern)]
        names = sorted(file.relative_to(self._folder).as_posix() for file in files)
        return [fault for name in names if (fault := self._fault(name))]

    def unknown_names(self, folder: str, known: Collection[str], members: Mapping[str, Collection[str]]) -> list[str]:
        """A sentence for each name that a template of the site's folder uses and that does not exist.

        `folder` is one of TEMPLATE_FOLDERS, `known` the variables of its templates, and `members` those of a variable.
        A name that the template itself asks for (`is defined`) may be unknown.
        """
        files = self._folder.glob(f"*/{folder}/*.*") if self._folder else ()
        names = sorted(file.relative_to(self._folder).as_posix() for file in files if self._folder)
        return [f"{name}: there is no {unknown}" for name in names for unknown in self._unknown(name, known, members)]

    def _unknown(self, name: str, known: Collection[str], members: Mapping[str, Collection[str]]) -> list[str]:
        assert self._environment.loader
        tree = self._environment.parse(self._environment.loader.get_source(self._environment, name)[0])
        asked = {_dotted(each.node) for each in tree.find_all(nodes.Test) if each.name == "defined"}
        used = {_dotted(each) for each in tree.find_all((nodes.Name, nodes.Getattr))} - asked
        free = meta.find_undeclared_variables(tree) - {*known, "language"}
        unknown = {
            each
            for each in used
            for variable, _, member in [each.partition(".")]
            if variable in free or (member and variable in members and member not in members[variable])
        }
        return sorted(unknown - {""})

    def _fault(self, name: str) -> str:
        try:
            self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as failure:
            return f"{failure.name}, line {failure.lineno}: {failure.message}"
        except (jinja2.TemplateError, OSError, ValueError) as failure:
            return f"{name}: {failure}"
        return ""

    def render(self, language: str, name: str, **facts: Any) -> str:
        """The text of the template `language/name`, or of the English one when the language does not have it.

        In the template, `language` is the language that was found. Raises jinja2.TemplateError when the template cannot
        be read, or uses a name that is not in `facts`.
        """
        template = self._find(language, name)
        return template.render(facts | {"language": str(template.name).split("/")[0]})

    def belong_together(self, language: str, name: str, other: str) -> bool:
        """Whether `name` may be sent together with `other`: both are in one folder, or `name` is the site's own.

        When a site replaces only the text of a letter, the service's HTML would be a different letter.
        """
        one, two = (Path(str(self._find(language, each).filename)) for each in (name, other))
        return one.parent == two.parent or not one.is_relative_to(TEXTS)

    def _find(self, language: str, name: str) -> jinja2.Template:
        languages = [language, DEFAULT_LANGUAGE] if language in self.languages else [DEFAULT_LANGUAGE]
        return self._environment.select_template([f"{each}/{name}" for each in languages])

    def choose(self, accept_language: str) -> str:
        """The available language that an Accept-Language header prefers (RFC 9110 §12.5.4)."""
        wanted = []
        for part in accept_language[:ACCEPT_LANGUAGE_MAX_LENGTH].lower().split(","):
            found = LANGUAGE_RANGE.fullmatch(part.strip())
            if found:
                wanted.append((float(found[2] or 1), found[1]))
        refused = {language for quality, range_ in wanted if not quality for language in self._match(range_)[:1]}
        for quality, range_ in sorted(wanted, key=lambda each: -each[0]):
            for language in self._match(range_) if quality else []:
                if language not in refused:
                    return language
        return DEFAULT_LANGUAGE

    def _match(self, range_: str) -> list[str]:
        """Available languages that match a range, the nearest first: `de-AT` matches `de` if there is no `de-AT`."""
        if range_ == "*":
            return list(self.languages)
        parts = range_.split("-")
        shorter = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
        nearest = [language for tag in shorter for language in self.languages if language.lower() == tag]
        return nearest + [language for language in self.languages if language.lower().startswith(range_ + "-")]
