"""Letters and pages in every language: their texts, names that look like markup, and templates of a site."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest

from server.mail.letters import LETTER_KINDS, LINK_LETTER_KINDS
from server.mail.writer import LetterWriter
from server.settings.settings import Settings
from server.templates import ACCEPT_LANGUAGE_MAX_LENGTH, TEXTS, Templates
from tests.mail.reading import Read, read

TOKEN = "t" * 43
HOSTILE = "<b>{{ 7 * 7 }}</b>{% raw %}\r\nBcc: eve@example.com\r\n\r\nhttps://evil.example"


def written(kind: str, language: str = "en", folder: Path | None = None, **given: Any) -> Read:
    site = {each: given.pop(each) for each in list(given) if each in Settings.__dataclass_fields__}
    account = {
        "id": 7,
        "username": "anna",
        "email": "anna@example.com",
        "language": language,
        "account_fields": None,
    } | given
    letter = {"id": 1, "kind": kind, "queued_at": datetime(2026, 1, 2, tzinfo=UTC)}
    sent = LetterWriter(Settings(**site), Templates(folder)).write(
        letter, account, "anna@example.com", TOKEN if kind in LINK_LETTER_KINDS else ""
    )
    return read(sent.message.as_bytes())


@pytest.mark.parametrize("language", Templates().languages)
@pytest.mark.parametrize("kind", LETTER_KINDS)
def test_the_text_and_the_html_of_a_letter_say_the_same(kind: str, language: str) -> None:
    letter = written(kind, language, site_name="Cinema & Co")
    assert "Cinema & Co" in letter.subject
    assert "Cinema & Co" in letter.text
    assert "Cinema &amp; Co" in letter.html
    assert f'<html lang="{language}">' in letter.html
    for said in (letter.text, letter.html):
        assert "http://127.0.0.1:8080" in said
        assert (TOKEN in said) == (kind in LINK_LETTER_KINDS)
        assert not re.search(r"[{}]{2}|[{]%", said)
    if kind in ("password_reset", "username_reset"):
        assert "anna" in letter.text
        assert "anna" in letter.html
    assert letter.message.get_content_type() == "multipart/alternative"


def test_every_language_has_every_letter() -> None:
    found = {
        language: sorted(file.name for file in (TEXTS / language / "letters").iterdir()) for language in ("en", "de")
    }
    wanted = sorted(f"{kind}.{form}" for kind in LETTER_KINDS for form in ("txt", "html"))
    for language, files in found.items():
        folder = f"server/texts/{language}/letters/"
        assert sorted({*wanted} - {*files}) == [], f"write these files in {folder}: each letter has a text and HTML"
        assert sorted({*files} - {*wanted}) == [], f"no kind of letter has these files of {folder}: remove them"


def test_the_subjects_of_the_letters_that_the_reference_has_are_the_same() -> None:
    subjects = {
        "activation": "Account activation on SITE",
        "password_reset": "Password reset on SITE",
        "username_reset": "Username reset on SITE",
        "confirmation": "SITE - Your account has been successfully created and activated!",
        "password_changed": "SITE - Your password has been successfully changed!",
        "username_changed": "SITE - Your username has been successfully changed!",
    }
    assert {kind: written(kind, site_name="SITE").subject for kind in subjects} == subjects


@pytest.mark.parametrize("kind", LETTER_KINDS)
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_name_that_looks_like_markup_stays_text(kind: str, language: str) -> None:
    letter = written(kind, language, username=HOSTILE, email=HOSTILE)
    assert set(letter.message.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"),
    }
    assert "<b>" not in letter.html
    assert "49" not in letter.text.replace(TOKEN, "")
    assert not [line for line in letter.text.splitlines() if line.startswith(("Bcc", "https://evil"))]


def test_a_letter_that_is_written_again_has_the_same_id() -> None:
    first, second = written("confirmation"), written("confirmation")
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}@localhost>", first.message["Message-ID"])


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ({}, f"http://127.0.0.1:8080/activate/Nw/{TOKEN}"),
        ({"public_url": "https://site.example/desk"}, f"https://site.example/desk/activate/Nw/{TOKEN}"),
        ({"activation_url": "/#/a/{uid}/{token}"}, f"http://127.0.0.1:8080/#/a/Nw/{TOKEN}"),
        ({"activation_url": "https://app.example/{uid}/{token}"}, f"https://app.example/Nw/{TOKEN}"),
        ({"activation_url": "app://activate/{uid}/{token}"}, f"app://activate/Nw/{TOKEN}"),
    ],
)
def test_the_settings_say_where_a_link_leads(given: dict[str, Any], link: str) -> None:
    assert written("activation", **given).link == link
    assert written("email_change", **given).link == link
    assert link in written("activation", "de", **given).html


def test_a_site_replaces_a_template_and_adds_a_language(tmp_path: Path) -> None:
    for name, text in {
        "en/letters/confirmation.txt": "Subject: Welcome\n\n{{ user.username }} {{ user.id }} {{ user.email }}\n",
        "nl/letters/confirmation.txt": "Subject: Welkom op {{ site_name }}\n\nDag {{ user.username }}\n",
        "nl/letters/confirmation.html": '{% extends "letters/frame.html" %}{% block letter %}Dag{% endblock %}',
        "letters/frame.html": '<html lang="{{ language }}">{% block letter %}{% endblock %}',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert Templates(tmp_path).languages == ("en", "de", "nl")
    english, dutch = written("confirmation", "en", tmp_path), written("confirmation", "nl", tmp_path)
    assert (english.subject, english.text) == ("Welcome", "anna 7 anna@example.com\n")
    assert english.html == "", "the text is the site's, and the service's HTML would be a different letter"
    assert (dutch.subject, dutch.html.strip()) == ("Welkom op Frontdesk", '<html lang="nl">Dag')
    # A letter that the new language does not have is in English, and says so.
    fallen_back = written("password_changed", "nl", tmp_path)
    assert fallen_back.html.startswith('<html lang="en"><p>Hello')
    # A language that does not exist.
    assert written("confirmation", "../../etc", tmp_path).subject == "Welcome"


@pytest.mark.parametrize("text", ["{{ nothing }}", "{% if", "{{ user.__class__.__mro__ }}", "{{ ''.__class__ }}"])
def test_a_template_that_cannot_be_used_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "en" / "letters").mkdir(parents=True)
    (tmp_path / "en" / "letters" / "confirmation.txt").write_text(f"Subject: x\n\n{text}\n")
    with pytest.raises(jinja2.TemplateError):
        written("confirmation", "en", tmp_path)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("DE-ch-1996", "de"),
        ("fr, de;q=0.5", "de"),
        ("de;q=0.5, en;q=0.8", "en"),
        ("en;q=0.5, de;q=0.8", "de"),
        ("de;q=0.1, *;q=0.5", "en"),
        ("*", "en"),
        ("en;q=0, *", "de"),
        ("de;q=0, fr", "en"),
        ("de ; q=0.7 , fr", "de"),
        ("de;q=2", "en"),
        ("de;q=nan", "en"),
        ("de-", "en"),
        ("dee", "en"),
        (",,;;q=,\x00de", "en"),
        ("../../de", "en"),
        ("fr," * ACCEPT_LANGUAGE_MAX_LENGTH + "de", "en"),
    ],
)
def test_the_header_chooses_the_available_language_it_prefers(header: str, language: str) -> None:
    assert Templates().choose(header) == language


def test_a_range_matches_a_language_of_a_region(tmp_path: Path) -> None:
    (tmp_path / "pt-BR" / "letters").mkdir(parents=True)
    assert [Templates(tmp_path).choose(header) for header in ("pt", "pt-br", "pt-PT")] == ["pt-BR", "pt-BR", "en"]


def test_a_folder_with_letters_or_pages_is_a_language(tmp_path: Path) -> None:
    for name in ("css", "img/icons", "nl/pages", "fr/letters", "letters", "pages"):
        (tmp_path / name).mkdir(parents=True)
    assert Templates(tmp_path).languages == ("en", "de", "fr", "nl")


def test_every_template_of_a_site_is_checked_before_it_is_used(tmp_path: Path) -> None:
    for name, text in {
        "letters/frame.html": "{% block %}",
        "de/pages/problem.html": "{{ kind }}",
        "en/letters/confirmation.html": "ok\n{{ nothing.such | nofilter }}",
        "css/print.css": "{# no template",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "de" / "pages" / "texts.html").write_bytes(b"\xff")
    faults = Templates(tmp_path).faults()
    assert [fault.partition(":")[0] for fault in faults] == [
        "de/pages/texts.html",
        "en/letters/confirmation.html, line 2",
        "letters/frame.html, line 1",
    ]
    assert Templates().faults() == []
