"""What the document says about a field of a body is what the field accepts (contract 1.3, 3.2, 3.3)."""

from typing import Any

import jsonschema
import pytest
from marshmallow import ValidationError, fields

from server.app import create_app
from server.settings.settings import Settings
from server.web.documentation.endpoints import document
from server.web.schemas.events import EventQuery
from server.web.schemas.objects import Activation, ProfileEdit, Registration, UserEdit

VALUES: list[Any] = [
    *(True, False, None, 0, 1, 2, -1, 0.0, 1.0, 1.5, [], {}, "", " ", "\t", "x", " x ", "\0", "a\0b", "1\0"),
    *("true", "True", "TRUE", " true ", "t", "T", "y", "Yes", "on", "ON", "1", "1.0", "01", "ja"),
    *("false", "f", "n", "No", "off", "0", "-0", "nein", "truetrue", "true\0"),
    *("anna@example.com", "anna", "anna@example.com\0", 12345, 1e300),
]


@pytest.fixture
def schemas(settings: Settings) -> dict[str, Any]:
    """The schemas of the document with everything that the service accepts."""
    found: dict[str, Any] = document(create_app(settings), is_whole=True)["components"]["schemas"]
    return found


@pytest.fixture
def sent(settings: Settings) -> dict[str, Any]:
    """The schemas of the document for generators."""
    found: dict[str, Any] = document(create_app(settings))["components"]["schemas"]
    return found


def accepts(field: fields.Field[Any], value: Any) -> bool:
    """Whether a field accepts a value."""
    try:
        field.deserialize(value)
    except ValidationError:
        return False
    return True


def says(schema: dict[str, Any], value: Any) -> bool:
    """Whether the document allows a value."""
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return bool(jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(value))


FIELDS = pytest.mark.parametrize(
    ("body", "name"),
    [
        (ProfileEdit, "is_creator"),
        (ProfileEdit, "location"),
        (ProfileEdit, "description"),
        (Activation, "token"),
        (Registration, "password"),
        (Registration, "email"),
        (UserEdit, "email"),
    ],
)


@FIELDS
def test_the_document_allows_what_a_field_accepts(schemas: dict[str, Any], body: Any, name: str) -> None:
    schema = schemas[body.component]["properties"][name]
    field = body().fields[name]
    assert [value for value in VALUES if accepts(field, value) != says(schema, value)] == []


@FIELDS
def test_the_document_for_generators_allows_only_what_a_field_accepts(
    sent: dict[str, Any], body: Any, name: str
) -> None:
    schema = sent[body.component]["properties"][name]
    field = body().fields[name]
    allowed = [value for value in VALUES if says(schema, value)]
    assert allowed
    # An address that may be blank has no format there: "" would not have it.
    refused = [value for value in allowed if not accepts(field, value)]
    assert refused == [] or (name == "email" and field.blank and all(isinstance(value, str) for value in refused))


@pytest.mark.parametrize("year", ["0001", "1969", "1970", "2026", "9998", "9999"])
def test_the_document_allows_the_times_that_a_query_accepts(settings: Settings, year: str) -> None:
    value = f"{year}-06-23T15:12:37Z"
    parameters = document(create_app(settings))["paths"]["/api/events/"]["get"]["parameters"]
    (schema,) = [each["schema"] for each in parameters if each["name"] == "since"]
    assert says(schema, value) == accepts(EventQuery().fields["since"], value)
