"""ROLES_FILE: the roles that it declares are read; all its faults are reported at once and stop the start."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.settings import roles
from server.settings.faults import SettingsError
from server.settings.field_schemas import inlined
from server.settings.roles import Roles, Step
from server.settings.settings import Settings
from tests.processes import ROOT, surroundings

Reads = Callable[[str], Roles]

GOOD = """
[roles.teacher]
title = "Teacher"
registration = true
fields.type = "object"
fields.required = ["school"]
fields.properties.school = { type = "string", minLength = 1, maxLength = 100 }
fields.properties.subjects = { type = "array", items = { "$ref" = "#/$defs/subject" } }
fields."$defs".subject = { type = "string", pattern = "^[a-z]+$", x-widget = "tags" }
steps = [{ title = "Where", fields = ["school"] }, { title = "What", fields = ["subjects"] }]

[roles.guest]
"""
HEAD = '[roles.teacher]\nfields.type = "object"\n'


@pytest.fixture
def read(tmp_path: Path) -> Reads:
    def write_and_read(text: str) -> Roles:
        (tmp_path / "roles.toml").write_text(text)
        return roles.read(str(tmp_path / "roles.toml"))

    return write_and_read


def faults_of(read: Reads, text: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(text)
    return raised.value.faults


def test_a_file_declares_roles_with_their_fields_and_steps(read: Reads) -> None:
    teacher, guest = read(GOOD)
    assert (teacher.name, teacher.title, teacher.registration) == ("teacher", "Teacher", True)
    assert teacher.fields["required"] == ["school"]
    assert teacher.steps == (Step(title="Where", fields=("school",)), Step(title="What", fields=("subjects",)))
    assert (guest.name, guest.title, guest.steps) == ("guest", "Guest", ())


def test_a_role_is_closed_and_has_no_fields_by_default(read: Reads) -> None:
    guest = read(GOOD).get("guest")
    assert guest is not None
    assert (guest.registration, guest.fields["properties"], guest.fields["additionalProperties"]) == (False, {}, False)


def test_without_a_file_there_are_no_roles() -> None:
    assert not Settings().roles
    assert (list(Settings().roles), Settings().shown()["ROLES_FILE"]) == ([], "")


def test_the_settings_show_the_path_of_the_file(read: Reads, tmp_path: Path) -> None:
    read(GOOD)
    path = str(tmp_path / "roles.toml")
    settings = Settings.read({"ROLES_FILE": path})
    assert settings.roles
    assert settings.shown()["ROLES_FILE"] == path


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "declares no role"),
        ("[roles]", "declares no role"),
        ("roles = 1", "declares no role"),
        ("[roles.teacher", "is not TOML"),
        ("[roles.a]\n[roles.a]", "is not TOML"),
        ("[role.teacher]", "role: is unknown"),
        ("roles.teacher = 1", "roles.teacher: is not a table"),
        ("[roles.Teacher]", "roles.Teacher: is not a name"),
        ("[roles.1a]", "roles.1a: is not a name"),
        ('[roles."a b"]', "roles.a b: is not a name"),
        ("[roles." + "a" * 32 + "]", "roles." + "a" * 32 + ": is not a name"),
        ("[roles.teacher]\ntitel = 'x'", "roles.teacher.titel: is unknown"),
        ("[roles.teacher]\ntitle = ''", "roles.teacher.title: is one line"),
        ("[roles.teacher]\ntitle = 7", "roles.teacher.title: is one line"),
        ('[roles.teacher]\ntitle = "a\\nb"', "roles.teacher.title: is one line"),
        ("[roles.teacher]\nregistration = 'yes'", "roles.teacher.registration: is true or false"),
        ("[roles.teacher]\nfields = 'x'", "roles.teacher.fields: is not a table"),
        ("[roles.teacher]\nfields = {}", 'roles.teacher.fields.type: must be "object"'),
        ("[roles.teacher]\nfields.type = 'array'", 'roles.teacher.fields.type: must be "object"'),
        (HEAD + "fields.properties = 3", "roles.teacher.fields.properties: 3 is not of type 'object'"),
        (HEAD + "fields.required = ['x']", "roles.teacher.fields.required: x is not among the properties"),
        (HEAD + "fields.requried = ['x']", "roles.teacher.fields.requried: is not a keyword"),
        (HEAD + "fields.patternProperties = {}", "roles.teacher.fields.patternProperties: is not supported"),
        (HEAD + "fields.'$id' = 'x'", "roles.teacher.fields.$id: is not supported"),
        (HEAD + "fields.'$schema' = 'http://json-schema.org/draft-07/schema#'", "roles.teacher.fields.$schema: is not"),
        (HEAD + "fields.properties.a.type = 'text'", "roles.teacher.fields.properties.a.type: 'text' is not valid"),
        (HEAD + "fields.properties.a.minLength = -1", "roles.teacher.fields.properties.a.minLength: -1 is less"),
        (HEAD + "fields.properties.a.pattern = '('", "roles.teacher.fields.properties.a.pattern: cannot be matched"),
        (HEAD + "fields.properties.a.pattern = '(?=a)b'", "roles.teacher.fields.properties.a.pattern: cannot be"),
        (HEAD + "fields.properties.a.'$ref' = 'https://x.example/a'", "roles.teacher.fields.properties.a.$ref: refers"),
        (HEAD + "fields.properties.a.'$ref' = 'other.json#/a'", "roles.teacher.fields.properties.a.$ref: refers"),
        (HEAD + "fields.properties.a.'$ref' = '#/$defs/a'", "roles.teacher.fields.properties.a.$ref: there is no"),
        (HEAD + "fields.properties.a.'$ref' = '#'", "roles.teacher.fields: a $ref leads back to itself"),
        (HEAD + "fields.properties.a.'$ref' = '#/properties/a'", "roles.teacher.fields: a $ref leads back to itself"),
        (
            HEAD + "fields.properties.a.default = 2026-01-01",
            "roles.teacher.fields: contains a value that JSON does not",
        ),
        (HEAD + "fields.properties.a.maximum = inf", "roles.teacher.fields: contains a value that JSON does not have"),
        (HEAD + f"fields.properties.a.maximum = {2**70}", "roles.teacher.fields: contains a value that JSON does not"),
        (HEAD + "steps = 1", "roles.teacher.steps: is not a list of tables"),
        (HEAD + "steps = [1]", "roles.teacher.steps: is not a list of tables"),
        (HEAD + "steps = [{ title = 'a', fields = [] }]", "roles.teacher.steps.0.fields: is not a list of field names"),
        (HEAD + "steps = [{ title = 'a', fields = ['b'] }]", "roles.teacher.steps.0.fields: b is not a field"),
    ],
)
def test_each_fault_names_its_place(read: Reads, text: str, fault: str) -> None:
    assert any(each.startswith(fault) for each in faults_of(read, text)), faults_of(read, text)


def test_a_circle_of_references_of_any_length_is_a_fault(read: Reads) -> None:
    circle = "fields.'$defs' = { a.allOf = [{ '$ref' = '#/$defs/b' }], b.items = { '$ref' = '#/$defs/a' } }"
    assert faults_of(read, HEAD + circle) == ["roles.teacher.fields: a $ref leads back to itself"]
    straight = "fields.'$defs' = { a.allOf = [{ '$ref' = '#/$defs/b' }, { '$ref' = '#/$defs/b' }], b.type = 'null' }"
    assert read(HEAD + straight).get("teacher")


def test_a_reference_reads_names_with_slashes_tildes_and_blanks(read: Reads) -> None:
    named = "fields.'$defs'.'a/b~c d' = {}\nfields.properties.x.'$ref' = '#/$defs/a~1b~0c%20d'"
    assert read(HEAD + named).get("teacher")


def test_steps_have_every_field_once(read: Reads) -> None:
    two = HEAD + "fields.properties = { a = {}, b = {} }\n"
    steps = "steps = [{ title = 'x', fields = ['a', 'a'], colour = 'red' }, { title = '', fields = ['a'] }]"
    assert faults_of(read, two + steps) == [
        "roles.teacher.steps.0.colour: is unknown",
        "roles.teacher.steps.0.fields: a is in a step already",
        "roles.teacher.steps.1.title: is one line of 1 to 200 characters",
        "roles.teacher.steps.1.fields: a is in a step already",
        "roles.teacher.steps: b is in no step",
    ]


def test_all_faults_of_all_roles_are_reported_at_once(read: Reads) -> None:
    text = "more = 1\n[roles.A]\n[roles.b]\nregistration = 1\nfields = { type = 'null' }\n[roles.c]\ncolour = 'red'"
    assert [fault.split(":")[0] for fault in faults_of(read, text)] == [
        "more",
        "roles.A",
        "roles.b.registration",
        "roles.b.fields.type",
        "roles.c.colour",
    ]


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError) as raised:
            Settings.read({"ROLES_FILE": str(path)})
        assert raised.value.faults[0].startswith(f"ROLES_FILE cannot be read: {reason}")
    (tmp_path / "latin.toml").write_bytes(b"[roles.a]\ntitle = '\xe9'")
    with pytest.raises(SettingsError, match="is not TOML"):
        roles.read(str(tmp_path / "latin.toml"))


def test_a_wrong_file_stops_the_start_with_its_faults_and_those_of_other_settings(tmp_path: Path) -> None:
    (tmp_path / "roles.toml").write_text("[roles.A]\n[roles.b]\ncolour = 'red'")
    environment = surroundings(ROLES_FILE=str(tmp_path / "roles.toml"), PORT="x")
    ran = subprocess.run([sys.executable, "-m", "server"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == [
        "PORT is a whole number from 0 to 65535",
        "ROLES_FILE roles.A",
        "ROLES_FILE roles.b.colour",
    ]


def test_each_reference_is_replaced_by_what_it_refers_to() -> None:
    word = {"type": "string"}
    schema = {
        "properties": {
            "words": {"type": "array", "items": {"$ref": "#/$defs/word"}},
            "title": {"$ref": "#/properties/words/items", "maxLength": 9},
            "constant": {"const": {"$ref": "no reference"}},
        },
        "$defs": {"word": word},
    }
    assert inlined(schema) == {
        "properties": {
            "words": {"type": "array", "items": word},
            "title": {"allOf": [word], "maxLength": 9},
            "constant": {"const": {"$ref": "no reference"}},
        }
    }
