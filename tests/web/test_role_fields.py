"""The fields of a role: bounded first, then validated by its JSON Schema, with the contract's texts."""

import re
from typing import Any

import orjson
import pytest
from marshmallow import ValidationError

from server.errors import FieldErrors
from server.settings import field_schemas
from server.settings.faults import SettingFaults
from server.settings.roles import Role, Roles
from server.web.schemas.fields import BLANK, NOT_EMAIL, NOT_FLAG, NOT_TEXT, NULL, REQUIRED
from server.web.schemas.role_faults import NOT_VALID, ROLE_FIELDS_MAX_BYTES, ROLE_FIELDS_TOO_LONG, UNKNOWN_FIELD, faults
from server.web.schemas.role_fields import (
    NUMBER_TOO_LARGE,
    NUMBER_TOO_SMALL,
    ROLE_FIELDS_MAX_DEPTH,
    ROLE_FIELDS_MAX_VALUES,
    TOO_MANY_VALUES,
    RoleFields,
    change,
)

PATTERN_MISMATCH = "This value does not match the required pattern."
NOT_A_CHOICE = "Not a valid choice."


def role(**fields: Any) -> Role:
    schema = {"type": "object", **fields}
    faults = SettingFaults()
    field_schemas.check(schema, faults)
    faults.check()
    return Role(name="teacher", title="Teacher", registration=True, fields=schema, steps=())


@pytest.mark.parametrize(
    ("schema", "value", "texts"),
    [
        ({"type": "string"}, 7, [NOT_TEXT]),
        ({"type": "string"}, None, [NULL]),
        ({"type": "string", "enum": ["a"]}, None, [NULL]),
        ({"type": ["string", "null"]}, None, None),
        ({"type": ["string", "null"]}, 7, [NOT_TEXT]),
        ({"type": ["string", "integer"]}, [], [NOT_VALID]),
        ({"type": "boolean"}, "yes", [NOT_FLAG]),
        ({"type": "integer"}, 1.5, ["A valid integer is required."]),
        ({"type": "number"}, "1", ["A valid number is required."]),
        ({"type": "array"}, "x", ['Expected a list of items but got type "str".']),
        ({"type": "object"}, "x", ["Invalid data. Expected a dictionary, but got str."]),
        ({"type": "string", "maxLength": 3}, "four", ["Ensure this field has no more than 3 characters."]),
        ({"type": "string", "minLength": 3}, "tw", ["Ensure this field has at least 3 characters."]),
        ({"type": "string", "minLength": 1, "pattern": "^a", "format": "email"}, "", [BLANK]),
        (
            {"pattern": "^[A-Z]{2}$", "maxLength": 2},
            "abc",
            [PATTERN_MISMATCH, "Ensure this field has no more than 2 characters."],
        ),
        ({"pattern": r"^\p{Lu}+$"}, "ÉÑ", None),
        ({"pattern": r"^\p{Lu}+$"}, "éñ", [PATTERN_MISMATCH]),
        ({"minimum": 3}, 2, ["Ensure this value is greater than or equal to 3."]),
        ({"maximum": 3}, 4, ["Ensure this value is less than or equal to 3."]),
        ({"exclusiveMinimum": 3}, 3, ["Ensure this value is greater than 3."]),
        ({"exclusiveMaximum": 3}, 3, ["Ensure this value is less than 3."]),
        ({"multipleOf": 0.5}, 0.7, ["Ensure this value is a multiple of 0.5."]),
        ({"enum": ["a", "b"]}, "c", [NOT_A_CHOICE]),
        ({"const": True}, False, [NOT_A_CHOICE]),
        ({"minItems": 2}, [1], ["Ensure this field has at least 2 elements."]),
        ({"maxItems": 1}, [1, 2], ["Ensure this field has no more than 1 elements."]),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], ["Ensure this field has no repeated elements."]),
        ({"uniqueItems": True}, [1, True, "1", [1], None], None),
        ({"minProperties": 1}, {}, ["Ensure this field has at least 1 fields."]),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, 3, [NOT_VALID]),
        ({"not": {}}, 3, [NOT_VALID]),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], {"1": [NOT_TEXT]}),
        (
            {"maxItems": 1, "items": {"type": "string"}},
            ["a", 1],
            {"non_field_errors": ["Ensure this field has no more than 1 elements."], "1": [NOT_TEXT]},
        ),
        ({"required": ["city"]}, {}, {"city": [REQUIRED]}),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, {"b": [REQUIRED]}),
        ({"properties": {}, "additionalProperties": False}, {"a": 1}, {"a": [UNKNOWN_FIELD]}),
        ({"additionalProperties": {"type": "string"}}, {"a": 1}, {"a": [NOT_TEXT]}),
        ({"if": {"const": 1}, "then": {"minimum": 2}}, 1, ["Ensure this value is greater than or equal to 2."]),
        ({"format": "email"}, "a@b.co", None),
        ({"format": "email"}, "a@b", [NOT_EMAIL]),
        ({"format": "email"}, "", [NOT_EMAIL]),
        ({"format": "date"}, "2026-02-28", None),
        ({"format": "uri"}, "https://example.com/a?b=c", None),
        ({"format": "uuid"}, "0f3c1f9e-7d3b-4b8e-9a51-0f0f0f0f0f0f", None),
        ({"format": "ipv6"}, "::1", None),
        ({"format": "ipv4"}, "127.0.0.1", None),
        ({"format": "date-time"}, "2026-02-28T12:00:00Z", None),
        ({"format": "time"}, "12:00:00+01:00", None),
        ({"format": "date"}, 7, None),
        ({"format": "no format that is known"}, "anything", None),
    ],
)
def test_each_keyword_has_its_text(schema: Any, value: Any, texts: Any) -> None:
    assert faults(role(properties={"x": schema}), {"x": value}) == ({"x": texts} if texts else {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("date", text) for text in ("2026-02-30", "20260228", "2026-2-28", "2026-02-28 ")),
        *(("time", text) for text in ("12:00", "25:00:00Z", "12:00:00")),
        *(("date-time", text) for text in ("2026-02-28", "2026-02-28 12:00:00Z", "2026-02-28T12:00:00")),
        *(("uri", text) for text in ("example.com", "https:// x", "https://")),
        *(("uuid", text) for text in ("x", "0f3c1f9e7d3b4b8e9a510f0f0f0f0f0f")),
        *(("ipv4", text) for text in ("1.2.3", "::1")),
        *(("ipv6", text) for text in ("1.2.3.4", "fe80::1%eth0")),
    ],
)
def test_a_value_without_the_declared_format_is_refused(name: str, value: str) -> None:
    (text,) = faults(role(properties={"x": {"format": name}}), {"x": value}).get("x", ["accepted"])
    assert re.search("format|valid", text), text


def test_all_faults_are_reported_nested_like_the_fields() -> None:
    address = {"type": "object", "required": ["city"], "properties": {"zip": {"type": "string", "pattern": "^[0-9]+$"}}}
    schema = {"required": ["school", "since"], "properties": {"school": {}, "since": {}, "address": address}}
    assert faults(role(**schema), {"address": {"zip": "x"}, "since": 2020}) == {
        "school": [REQUIRED],
        "address": {"city": [REQUIRED], "zip": [PATTERN_MISMATCH]},
    }


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "(a*)*b"])
def test_a_pattern_is_matched_in_linear_time(pattern: str) -> None:
    # A backtracking matcher would not finish this test.
    assert faults(role(properties={"x": {"pattern": pattern}}), {"x": "a" * 10_000 + "!"}) == {"x": [PATTERN_MISMATCH]}


def read(value: Any) -> Any:
    return RoleFields(Roles()).deserialize(value)


def faults_of(value: Any) -> Any:
    with pytest.raises(ValidationError) as raised:
        read(value)
    return raised.value.messages


def test_texts_are_trimmed_at_every_depth() -> None:
    assert read({"a": " x ", "b": [{"c": "\ty\n"}], " d ": 1.0}) == {"a": "x", "b": [{"c": "y"}], " d ": 1}


def test_values_that_cannot_be_stored_are_reported_at_their_place() -> None:
    null, surrogate = "Null characters are not allowed.", "Surrogate characters are not allowed: U+D800."
    assert faults_of({"a": "x\0", "b": ["\ud800\0"]}) == {"a": [null], "b": {"0": [null, surrogate]}}
    assert faults_of({"a\0": 1, "\ud800": {"b\0": 1}}) == {
        "non_field_errors": [null, surrogate],
        "?": [null],
    }
    assert faults_of({"a": 2**63, "b": -(2**64)}) == {"a": [NUMBER_TOO_LARGE], "b": [NUMBER_TOO_LARGE]}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((number, NUMBER_TOO_LARGE) for number in (1e300, -1e300, 2.0**63, -(2.0**64), float("inf"), float("nan"))),
        *((number, NUMBER_TOO_SMALL) for number in (1e-300, -1e-300, 5e-324)),
    ],
)
def test_numbers_that_would_be_long_in_the_database_are_refused(number: float, text: str) -> None:
    assert faults_of({"a": [number]}) == {"a": {"0": [text]}}


def test_ordinary_numbers_are_kept() -> None:
    numbers = {"a": 0.0, "b": -0.5, "c": 1e-15, "d": 123456789012345.5, "e": 1e18, "f": 2**63 - 1, "g": True}
    assert read(numbers) == numbers


@pytest.mark.parametrize("value", [None, [], "x", 7, True])
def test_a_value_that_is_not_an_object_is_refused(value: Any) -> None:
    found = faults_of(value)
    assert found == ([NULL] if value is None else {"non_field_errors": [found["non_field_errors"][0]]})


def test_depth_number_of_values_and_size_are_bounded() -> None:
    deep: Any = {}
    for _ in range(ROLE_FIELDS_MAX_DEPTH + 1):
        deep = {"a": deep}
    assert faults_of(deep) == {"non_field_errors": [TOO_MANY_VALUES]}
    assert faults_of({"a": [0] * ROLE_FIELDS_MAX_VALUES}) == {"non_field_errors": [TOO_MANY_VALUES]}
    assert read({"a": [0] * (ROLE_FIELDS_MAX_VALUES - 2)})
    assert faults(role(), {"a": "é" * (ROLE_FIELDS_MAX_BYTES // 2)}) == {"non_field_errors": [ROLE_FIELDS_TOO_LONG]}
    assert faults(role(), {"a": "x" * (ROLE_FIELDS_MAX_BYTES - len('{"a":""}'))}) == {}


def changed(roles: Roles, name: str | None, stored: Any, given: Any, *, merge: bool = False) -> Any:
    return change(roles, {"role": name, "fields": orjson.dumps(stored).decode()}, given, merge=merge)


def test_an_edit_replaces_all_fields_or_is_merged_and_null_removes_a_field() -> None:
    roles = Roles("", {"teacher": role(properties={"a": {}, "b": {}, "c": {"type": ["null", "string"]}})})
    stored = {"a": 1, "c": None}
    assert changed(roles, "teacher", stored, {"b": 2, "c": None}) == {"b": 2, "c": None}
    assert changed(roles, "teacher", stored, {"b": 2}, merge=True) == {"a": 1, "c": None, "b": 2}
    assert changed(roles, "teacher", stored, {"a": None}, merge=True) == {"c": None}


def test_unknown_fields_are_ignored_kept_or_refused_as_the_schema_says() -> None:
    for rule, expected in (({}, {"a": 1}), ({"additionalProperties": True}, {"a": 1, "z": 2})):
        roles = Roles("", {"teacher": role(properties={"a": {}}, **rule)})
        assert changed(roles, "teacher", {}, {"a": 1, "z": 2}) == expected
    roles = Roles("", {"teacher": role(properties={"a": {}}, additionalProperties=False)})
    with pytest.raises(FieldErrors) as raised:
        changed(roles, "teacher", {}, {"a": 1, "z": 2})
    assert raised.value.fields == {"fields": {"z": [UNKNOWN_FIELD]}}


def test_an_account_whose_role_has_no_schema_may_only_send_back_what_is_stored() -> None:
    for name, text in ((None, "Without a role there are no fields."), ("gone", "has no fields any more")):
        assert changed(Roles(), name, {"a": 1}, {"a": 1}) == {"a": 1}
        with pytest.raises(FieldErrors) as raised:
            changed(Roles(), name, {"a": 1}, {"a": 2})
        assert text in raised.value.fields["fields"][0]
