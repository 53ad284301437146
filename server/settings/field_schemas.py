"""Which JSON Schemas (Draft 2020-12) can describe the fields of a role: every fault of one that cannot, named.

Beyond the draft's own rules: nothing outside the file is referred to, nothing refers to itself, words that are no
keyword are told instead of being ignored, and patterns are such as can be matched in linear time, because they run on
what strangers send. docs/decisions/roles.md
"""

import copy
import functools
import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote

import orjson
import re2
from jsonschema import Draft202012Validator

Schema: TypeAlias = dict[str, Any]

_ONE = {
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems", "contains"),
    *("not", "if", "then", "else", "contentSchema"),
}
_LISTS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_TABLES = {"properties", "$defs", "dependentSchemas"}
_PLAIN = {
    *("$ref", "$schema", "$comment", "type", "enum", "const", "required", "dependentRequired"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"),
}
_KEYWORDS = _ONE | _LISTS | _TABLES | _PLAIN
_REFUSED = {"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "patternProperties"}

_QUIET = re2.Options()
_QUIET.log_errors = False


@functools.cache
def compiled(pattern: str) -> Any:
    """A pattern, ready to `search`. Raises ValueError for one that cannot be matched in linear time (RE2)."""
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error as failure:
        reason = failure.args[0] if failure.args else ""
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def faults(schema: Schema) -> list[str]:
    """Why `schema` cannot describe the fields of a role: a sentence for each reason, none for a good one."""
    try:
        json.dumps(schema, allow_nan=False)
        orjson.dumps(schema, option=orjson.OPT_PASSTHROUGH_DATETIME)  # no numbers of more than 64 bits
    except (TypeError, ValueError, RecursionError):
        return ["fields: holds a value that JSON does not have, such as a date, or a number out of range"]
    found = [_told(error.absolute_path, error.message) for error in _META.iter_errors(schema)]
    places = dict(_places(schema))
    for pointer, place in places.items():
        found += [f"fields{_dotted(pointer)}{text}" for text in _of_place(place, places)]
    return [*found, *_of_object(schema), *_of_circles(places)]


_META: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)


def moved(schema: Schema, pointer: str) -> Schema:
    """A copy of a good schema that stands at `pointer` (`#/…`) of another document."""
    copied = copy.deepcopy(schema)
    for _, place in _places(copied):
        if "$ref" in place:
            place["$ref"] = pointer + place["$ref"].removeprefix("#")
    return copied


def _places(schema: Any, pointer: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema by its JSON pointer (RFC 6901), itself first."""
    if not isinstance(schema, dict):
        return
    yield pointer, schema
    for keyword, value in schema.items():
        if keyword in _ONE:
            yield from _places(value, f"{pointer}/{keyword}")
        elif keyword in _LISTS and isinstance(value, list):
            for number, each in enumerate(value):
                yield from _places(each, f"{pointer}/{keyword}/{number}")
        elif keyword in _TABLES and isinstance(value, dict):
            for name, each in value.items():
                yield from _places(each, f"{pointer}/{keyword}/{_escaped(name)}")


def _of_place(place: Schema, places: dict[str, Schema]) -> Iterator[str]:
    for keyword in place:
        if keyword in _REFUSED:
            yield f".{keyword}: is not supported"
        elif keyword not in _KEYWORDS and not keyword.startswith("x-"):
            yield f".{keyword}: is no keyword of JSON Schema; words of your own begin with x-"
    if place.get("$schema", Draft202012Validator.META_SCHEMA["$id"]) != Draft202012Validator.META_SCHEMA["$id"]:
        yield ".$schema: is not Draft 2020-12"
    reference = place.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        yield ".$ref: refers to something outside of these fields"
    elif isinstance(reference, str) and _target(reference) not in places:
        yield f".$ref: there is no schema at {reference}"
    pattern = place.get("pattern")
    try:
        if isinstance(pattern, str):
            compiled(pattern)
    except ValueError as failure:
        yield f".pattern: cannot be matched in linear time: {failure}"


def _of_object(schema: Schema) -> Iterator[str]:
    """What only the outermost schema owes: it describes an object, and every field has a name in `properties`."""
    if schema.get("type") != "object":
        yield 'fields.type: must be "object"'
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if isinstance(properties, dict) and isinstance(required, list):
        for name in required:
            if isinstance(name, str) and name not in properties:
                yield f"fields.required: {name} is not among the properties"


def _of_circles(places: dict[str, Schema]) -> Iterator[str]:
    """References that lead back to a schema they are part of: no form can be drawn of those, and some never end."""
    settled: set[str] = set()

    def ends(pointer: str, above: frozenset[str]) -> bool:
        if pointer in settled:
            return True
        if pointer in above:
            return False
        settled_below = all(ends(each, above | {pointer}) for each in _below(pointer, places))
        settled.add(pointer)
        return settled_below

    if not all(ends(pointer, frozenset()) for pointer in places):
        yield "fields: a $ref leads back to itself"


def _below(pointer: str, places: dict[str, Schema]) -> Iterator[str]:
    yield from (each for each, _ in list(_places(places[pointer], pointer))[1:])
    target = _target(places[pointer].get("$ref"))
    if target in places:
        yield target


def _target(reference: Any) -> str | None:
    return unquote(reference[1:]) if isinstance(reference, str) and reference.startswith("#") else None


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _dotted(pointer: str) -> str:
    return re.sub("/", ".", pointer)


def _told(path: Any, message: str) -> str:
    return f"{'.'.join(['fields', *(str(step) for step in path)])}: {message}"
