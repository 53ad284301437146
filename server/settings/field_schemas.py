"""Checks that a JSON Schema (Draft 2020-12) can describe the fields of a role or an account.

Beyond the rules of the draft: a schema refers to nothing outside of the file and never to itself, an unknown keyword is
a fault instead of being ignored, and a pattern can be matched in linear time, because it runs on input from any client
(docs/decisions/roles.md).
"""

import functools
import json
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote

import orjson
import re2
from jsonschema import Draft202012Validator

from server.settings.faults import SettingFaults

Schema: TypeAlias = dict[str, Any]
MAX_DEPTH = 40  # of tables and lists in a schema; no form shows as many

# Keywords by what their value is: one schema, a list of schemas, schemas by name, or no schema.
_ONE_SCHEMA = {
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems", "contains"),
    *("not", "if", "then", "else", "contentSchema"),
}
_SCHEMA_LISTS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_SCHEMA_TABLES = {"properties", "$defs", "dependentSchemas"}
_NO_SCHEMA = {
    *("$ref", "$schema", "$comment", "type", "enum", "const", "required", "dependentRequired"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"),
}
_KEYWORDS = _ONE_SCHEMA | _SCHEMA_LISTS | _SCHEMA_TABLES | _NO_SCHEMA
_UNSUPPORTED = {"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "patternProperties"}

_BOUNDS = (
    *(("minLength", "maxLength"), ("minimum", "maximum"), ("minItems", "maxItems")),
    *(("minProperties", "maxProperties"), ("minContains", "maxContains")),
)

_RE2_OPTIONS = re2.Options()
_RE2_OPTIONS.log_errors = False


@functools.cache
def compiled(pattern: str) -> Any:
    """A compiled pattern with a method `search`. Raises ValueError when RE2 cannot match it in linear time."""
    try:
        return re2.compile(pattern, _RE2_OPTIONS)
    except re2.error as failure:
        reason = failure.args[0] if failure.args else ""
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def check(schema: Schema, faults: SettingFaults) -> None:
    """Add every reason why `schema` cannot describe the fields of a role or an account."""
    if _is_deep(schema):
        faults.add(f": is nested more than {MAX_DEPTH} deep")
        return
    try:
        json.dumps(schema, allow_nan=False)
        orjson.dumps(schema, option=orjson.OPT_PASSTHROUGH_DATETIME)  # refuses numbers of more than 64 bits
    except (TypeError, ValueError, RecursionError):
        faults.add(": contains a value that JSON does not have, such as a date, or a number out of range")
        return
    errors = _META_VALIDATOR.iter_errors(schema)
    # The draft has some rules in several of its vocabularies: each text once.
    for text in dict.fromkeys(
        f"{''.join(f'.{step}' for step in each.absolute_path)}: {each.message}" for each in errors
    ):
        faults.add(text)
    places = dict(_places(schema))
    for pointer, place in places.items():
        _check_place(place, places, faults.within(pointer.replace("/", ".")))
    _check_object(schema, faults)
    _check_circles(places, faults)


def has_reference(schema: Schema) -> bool:
    """Whether a schema refers to another one."""
    return any("$ref" in place for _, place in _places(schema))


def _is_deep(value: Any, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return True
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_is_deep(each, depth + 1) for each in members)


_META_VALIDATOR: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)


def inlined(schema: Schema) -> Schema:
    """A copy of a checked schema with each reference replaced by what it refers to, for readers that follow none."""
    places = dict(_places(schema))

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(each) for each in value]
        if not isinstance(value, dict):
            return value
        pointer = _target(value.get("$ref"))
        if pointer not in places:  # the members of a constant may have any name
            return {name: resolve(each) for name, each in value.items()}
        target = resolve(places[pointer])
        members = {name: resolve(each) for name, each in value.items() if name != "$ref"}
        return {"allOf": [target], **members} if members else target  # both count (Draft 2020-12 §8.2.3.1)

    return {name: each for name, each in resolve(schema).items() if name != "$defs"}


def _places(schema: Any, pointer: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its JSON pointer (RFC 6901); the schema itself first."""
    if not isinstance(schema, dict):
        return
    yield pointer, schema
    for keyword, value in schema.items():
        if keyword in _ONE_SCHEMA:
            yield from _places(value, f"{pointer}/{keyword}")
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            for number, each in enumerate(value):
                yield from _places(each, f"{pointer}/{keyword}/{number}")
        elif keyword in _SCHEMA_TABLES and isinstance(value, dict):
            for name, each in value.items():
                yield from _places(each, f"{pointer}/{keyword}/{_escaped(name)}")


def _check_place(place: Schema, places: dict[str, Schema], faults: SettingFaults) -> None:
    for keyword in place:
        if keyword in _UNSUPPORTED:
            faults.add(f".{keyword}: is not supported")
        elif keyword not in _KEYWORDS and not keyword.startswith("x-"):
            faults.add(f".{keyword}: is not a keyword of JSON Schema; your own keywords begin with x-")
    if place.get("$schema", Draft202012Validator.META_SCHEMA["$id"]) != Draft202012Validator.META_SCHEMA["$id"]:
        faults.add(".$schema: is not Draft 2020-12")
    reference = place.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        faults.add(".$ref: refers to something outside of these fields")
    elif isinstance(reference, str) and _target(reference) not in places:
        faults.add(f".$ref: there is no schema at {reference}")
    for low, high in _BOUNDS:
        if _is_number(place.get(low)) and _is_number(place.get(high)) and place[low] > place[high]:
            faults.add(f".{low}: is more than {high}, so that no value fits")
    if place.get("enum") == []:
        faults.add(".enum: is empty, so that no value fits")
    pattern = place.get("pattern")
    try:
        if isinstance(pattern, str):
            compiled(pattern)
    except ValueError as failure:
        faults.add(f".pattern: cannot be matched in linear time: {failure}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_object(schema: Schema, faults: SettingFaults) -> None:
    """The outermost schema describes an object, and `properties` names each required field."""
    if schema.get("type") != "object":
        faults.add('.type: must be "object"')
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if isinstance(properties, dict) and isinstance(required, list):
        for name in required:
            if isinstance(name, str) and name not in properties:
                faults.add(f".required: {name} is not among the properties")


def _check_circles(places: dict[str, Schema], faults: SettingFaults) -> None:
    """No reference leads back to a schema that contains it: no form can show that, and checking some never ends."""
    checked: set[str] = set()

    def ends(pointer: str, above: frozenset[str]) -> bool:
        if pointer in checked:
            return True
        if pointer in above:
            return False
        all_end = all(ends(each, above | {pointer}) for each in _below(pointer, places))
        checked.add(pointer)
        return all_end

    if not all(ends(pointer, frozenset()) for pointer in places):
        faults.add(": a $ref leads back to itself")


def _below(pointer: str, places: dict[str, Schema]) -> Iterator[str]:
    yield from (each for each, _ in list(_places(places[pointer], pointer))[1:])
    target = _target(places[pointer].get("$ref"))
    if target in places:
        yield target


def _target(reference: Any) -> str | None:
    return unquote(reference[1:]) if isinstance(reference, str) and reference.startswith("#") else None


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
