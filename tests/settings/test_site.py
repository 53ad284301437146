"""SITE_FILE: what it declares is read; all its faults are reported at once and stop the start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.settings import site
from server.settings.account_model import RESERVED_NAMES
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.settings.site import Site
from tests.processes import ROOT

Reads = Callable[[str], Site]

FIELDS = '[account.fields]\ntype = "object"\n'
ONE = FIELDS + 'properties.name = { type = "string" }\n'


@pytest.fixture
def read(tmp_path: Path) -> Reads:
    def write_and_read(text: str) -> Site:
        (tmp_path / "site.toml").write_text(text)
        return site.read(str(tmp_path / "site.toml"))

    return write_and_read


def faults_of(read: Reads, text: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(text)
    return raised.value.faults


def test_without_a_file_an_account_is_that_of_the_contract() -> None:
    account = Settings().account
    assert (account.username, account.shown_as, account.fields) == ("required", "username", ())


def test_a_file_declares_the_fields_of_an_account_in_their_order(read: Reads) -> None:
    found = read(
        '[account]\nusername = "none"\nshown_as = "first_name"\n'
        + FIELDS
        + 'required = ["first_name"]\n'
        + 'properties.first_name = { type = "string", maxLength = 150 }\n'
        + 'properties.plan = { type = "string", enum = ["free", "paid"], default = "free" }\n'
        + '[account.written_by]\nplan = "staff"\n[account.read_by]\nfirst_name = "everyone"\n'
    )
    first_name, plan = found.account.fields
    assert (first_name.name, first_name.is_required, first_name.written_by, first_name.read_by) == (
        *("first_name", True),
        *("owner", "everyone"),
    )
    assert (plan.name, plan.is_required, plan.written_by, plan.read_by) == ("plan", False, "staff", "owner")
    assert (first_name.empty, plan.empty) == ("", "free")
    assert found.account.public_fields == (first_name,)


def test_roles_move_from_their_own_file_unchanged(read: Reads) -> None:
    found = read((ROOT / "tests" / "school.toml").read_text() + "\n" + ONE)
    assert [role.name for role in found.roles] == ["teacher", "student", "principal"]
    assert [field.name for field in found.account.fields] == ["name"]


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_field_has_no_name_of_the_contract(read: Reads, name: str) -> None:
    faults = faults_of(read, FIELDS + f'properties.{name} = {{ type = "string" }}\n')
    assert f"account.fields.properties.{name}: is a name of the contract itself" in faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "declares nothing: [account] and [roles.NAME] are its sections"),
        ("[acount]\n", "acount: is unknown"),
        ("account = 1\n", "account: is not a table"),
        ("[account]\nusernam = 1\n", "account.usernam: is unknown"),
        ('[account]\nusername = "maybe"\n', "account.username: is one of required, optional, none"),
        ('[account]\nshown_as = "x"\n', "account.shown_as: is one of username, email"),
        ('[account]\nusername = "none"\n', "account.shown_as: is required without usernames: one of email"),
        ("[account]\nfields = 1\n", "account.fields: is not a table"),
        (ONE + 'if = { type = "object" }\n', "account.fields.if: is not supported here: each field is independent"),
        (
            FIELDS + "properties.Name = {}\n",
            "account.fields.properties.Name: is not a name: small letters",
        ),
        (ONE + 'properties.b = { "$ref" = "#/properties/name" }\n', "account.fields.properties.b: contains a $ref"),
        (
            FIELDS + "properties.n = { type = 'integer', default = 'x' }\n",
            "account.fields.properties.n.default: does",
        ),
        (ONE + "[account.written_by]\nnam = 'owner'\n", "account.written_by.nam: is not a field of the account"),
        (ONE + "[account.written_by]\nname = 'me'\n", "account.written_by.name: is one of owner, registration, staff"),
        (ONE + "[account.read_by]\nname = 'all'\n", "account.read_by.name: is one of owner, everyone"),
        (
            f"[account]\nshown_as = 'name'\n{ONE}[account.read_by]\nname = 'owner'\n",
            "account.read_by.name: is owner, but shown_as shows the field to every signed-in caller",
        ),
        (FIELDS + "properties.a = false\n", "account.fields.properties.a: is not a table"),
        (
            FIELDS + 'properties.a = { type = "string", default = "a\\u0000" }\n',
            "account.fields.properties.a.default: contains a character that PostgreSQL does not store",
        ),
        (
            FIELDS + f'properties.a = {{ type = "string", default = "{"x" * 9000}" }}\n',
            "account.fields.properties: defaults have more than 8192 bytes together",
        ),
        (
            FIELDS + f"properties.a = {'{ items = ' * 60}{{}}{' }' * 60}\n",
            "account.fields: is nested more than 40 deep",
        ),
        (
            FIELDS + "properties.a = { minLength = 5, maxLength = 3 }\n",
            "account.fields.properties.a.minLength: is more than maxLength, so that no value fits",
        ),
        (
            FIELDS + "properties.a = { enum = [] }\n",
            "account.fields.properties.a.enum: is empty, so that no value fits",
        ),
        (ONE + "required = ['x']\n", "account.fields.required: x is not among the properties"),
        (
            FIELDS + "required = ['plan']\nproperties.plan = {}\n[account.written_by]\nplan = 'staff'\n",
            "account.fields.properties.plan: is required at registration, but only staff writes it: it needs a default",
        ),
        ("[roles]\n", "declares no role: [roles.NAME] begins one"),
    ],
)
def test_each_fault_is_named(read: Reads, text: str, fault: str) -> None:
    assert any(each.startswith(fault) for each in faults_of(read, text))


def test_a_fault_is_reported_once(read: Reads) -> None:
    faults = faults_of(read, FIELDS + "properties.a = 1\n")
    assert faults == ["account.fields.properties.a: 1 is not of type 'object', 'boolean'"]


def test_a_file_may_begin_with_a_byte_order_mark(read: Reads) -> None:
    assert read("\ufeff" + ONE).account.fields


def test_what_names_a_person_is_seen_by_everyone(read: Reads) -> None:
    account = read(f"[account]\nshown_as = 'name'\n{ONE}").account
    assert account.readers_of(account.fields[0]) == "everyone"


def test_all_faults_are_reported_at_once(read: Reads) -> None:
    text = '[account]\nusername = "maybe"\n[account.fields]\ntype = "object"\nproperties.email = {}\n[roles.A]\n'
    assert len(faults_of(read, text)) == 3


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        site.read(str(tmp_path / "nothing.toml"))


EXAMPLES = sorted((ROOT / "examples" / "site").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_site_file(path: Path) -> None:
    assert site.read(str(path)).account.shown_as


def test_what_an_account_signs_in_with_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text('[account]\nusername = "none"\nshown_as = "email"\n')
    (tmp_path / "optional.toml").write_text('[account]\nusername = "optional"\n')
    with pytest.raises(SettingsError, match="LOGIN_FIELD must be email: accounts have no username"):
        Settings.read({"SITE_FILE": str(tmp_path / "none.toml")})
    with pytest.raises(SettingsError, match="LOGIN_FIELD must be email or either"):
        Settings.read({"SITE_FILE": str(tmp_path / "optional.toml")})
    assert Settings.read({"SITE_FILE": str(tmp_path / "none.toml"), "LOGIN_FIELD": "email"}).account.username == "none"


def test_one_of_the_two_files_is_set(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(ONE)
    both = {"SITE_FILE": str(tmp_path / "site.toml"), "ROLES_FILE": str(ROOT / "tests" / "school.toml")}
    with pytest.raises(SettingsError, match="ROLES_FILE and SITE_FILE are both set"):
        Settings.read(both)
