"""What each kind of letter needs besides its texts: the database knows it, the contract lists it, its link leads on.

CONTRIBUTING.md, "Add a letter", has the steps; each of these tests fails while one of them is missing.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.auth import one_time_tokens
from server.mail.letters import LETTER_KINDS, LINK_LETTER_KINDS
from server.settings.settings import Settings
from tests.conftest import MODES
from tests.rows import Connection, only_row
from tests.test_project import endpoints_of
from tests.test_templates import written

CONTRACT = Path(__file__).parent.parent.parent / "docs" / "contract.md"

# The new address is confirmed with the link and at the endpoint that activate an account (contract 11.13).
SHARES_THE_LINK_OF = {"email_change": "activation"}
LINK_SETTINGS = [name for name, each in Settings.__dataclass_fields__.items() if "{token}" in str(each.default)]


def setting_of(kind: str) -> str:
    """The setting that holds the link of a kind: KIND_URL or KIND_CONFIRM_URL."""
    name = SHARES_THE_LINK_OF.get(kind, kind)
    return next(
        (each for each in (f"{name}_url", f"{name}_confirm_url") if each in LINK_SETTINGS), f"{name}_confirm_url"
    )


def values_of(database: Connection, constraint: str) -> set[str]:
    """The texts that a check constraint allows."""
    row = only_row(
        database, "select pg_get_constraintdef(oid) as written from pg_constraint where conname = %s", constraint
    )
    return set(re.findall("'(.*?)'", row["written"]))


def test_the_database_knows_the_kinds_of_letters(database: Connection) -> None:
    known = values_of(database, "letters_kind_known")
    assert known == set(LETTER_KINDS), "a migration writes letters_kind_known again, with every kind of LETTER_KINDS"


def test_the_database_knows_the_purposes_of_one_time_tokens(database: Connection) -> None:
    known = values_of(database, "one_time_tokens_purpose_known")
    assert known == set(LINK_LETTER_KINDS), (
        "a migration writes one_time_tokens_purpose_known again, with every kind of LINK_LETTER_KINDS"
    )


def test_the_letters_with_a_link_are_those_with_a_purpose() -> None:
    purposes = {value for name, value in vars(one_time_tokens).items() if name.isupper() and isinstance(value, str)}
    assert purposes == set(LINK_LETTER_KINDS), (
        "a letter with a link is in LINK_LETTER_KINDS of mail/letters.py, its purpose in auth/one_time_tokens.py"
    )


@pytest.mark.parametrize("kind", LINK_LETTER_KINDS)
def test_every_kind_with_a_link_has_a_setting_of_its_own_for_it(kind: str) -> None:
    setting = setting_of(kind)
    assert setting in LINK_SETTINGS, f"add the setting {setting.upper()}, whose default has {{uid}}/{{token}}"
    elsewhere: dict[str, Any] = {each: f"https://{each}.example/{{uid}}/{{token}}" for each in LINK_SETTINGS}
    assert f"https://{setting}.example/" in written(kind, **elsewhere).text, (
        f"LetterWriter in mail/writer.py links {kind} to settings.{setting}"
    )


@pytest.mark.parametrize("kind", LINK_LETTER_KINDS)
def test_the_link_of_every_kind_leads_to_a_page_and_an_endpoint(settings: Settings, kind: str) -> None:
    every: dict[str, Any] = MODES["activation"] | {"login_field": "email"}
    found = {(each.method, each.path) for each in endpoints_of(create_app(dataclasses.replace(settings, **every)))}
    assert setting_of(kind) in LINK_SETTINGS, f"add the setting {setting_of(kind).upper()}"
    page = "/" + getattr(Settings(), setting_of(kind))
    missing = sorted({("GET", page), ("POST", page)} - found)
    assert missing == [], f"declare a link_page for {kind} (web/html_pages/pages.py) where its setting leads"
    # EMAIL_RESET_CONFIRM_URL, and the endpoint reset_email_confirm: the names of the reference.
    endpoint = re.sub("^(.*)_reset_confirm$", r"reset_\1_confirm", setting_of(kind).removesuffix("_url"))
    assert ("POST", f"/auth/users/{endpoint}/") in found, f"declare the JSON endpoint for the link of {kind}"


def test_the_contract_lists_every_letter_with_its_subject() -> None:
    section = CONTRACT.read_text().partition("\n## 6. ")[2].partition("\n## ")[0]
    listed = sorted(re.findall(r"^\| .* \| `(.*SITE.*)` \|$", section, re.MULTILINE))
    assert listed == sorted(written(kind, site_name="SITE").subject for kind in LETTER_KINDS), (
        "section 6 of docs/contract.md has one row for each letter, with its subject"
    )


def test_the_contract_names_the_setting_of_every_link() -> None:
    section = CONTRACT.read_text().partition("\n## 6. ")[2].partition("\n## ")[0]
    missing = [setting_of(kind).upper() for kind in LINK_LETTER_KINDS if f"`{setting_of(kind).upper()}`" not in section]
    assert missing == [], "section 6 of docs/contract.md names the settings that hold links"
