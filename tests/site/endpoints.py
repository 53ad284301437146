"""The page of endpoints, made from the OpenAPI document."""

import itertools
from typing import Any

from server.app import create_app
from server.settings.settings import Settings
from server.web.documentation.endpoints import document
from tests.site.tables import code, table

METHODS = ("get", "post", "put", "patch", "delete")


def endpoints_page() -> str:
    """Every operation of the OpenAPI document, by its tag."""
    described = document(create_app(Settings(signing_key="0" * 32)))
    schemas = described["components"]["schemas"]
    operations = [
        (operation["tags"][0], method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    order = {tag: place for place, tag in enumerate(dict.fromkeys(tag for tag, *_ in operations))}
    parts = []
    for tag, found in itertools.groupby(sorted(operations, key=lambda each: order[each[0]]), key=lambda each: each[0]):
        parts.append(f"## {tag.capitalize()}\n")
        parts += [_operation(method, path, operation, schemas) for _, method, path, operation in found]
    return f"""# Endpoints

Those of a site with the default settings, from its OpenAPI document. Other settings add members and paths:
`/openapi.json` of your service has yours, and `/docs` lets you try them. What clients may rely on
in each case: [the contract](../contract.md). An `ApiError` has `detail`, and a refused token `code` and
`messages`, too; `FieldErrors` has a list of texts for each field.

{chr(10).join(parts)}"""


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    access = "Needs a signed-in caller." if operation.get("security") else "Public."
    lines = [
        f"### {method.upper()} {path}",
        "",
        f"{operation['summary']}. {operation.get('description', '')} {access}",
        "",
    ]
    parameters = [each for each in operation.get("parameters", []) if "name" in each]
    if parameters:
        rows = [
            (code(each["name"]), each["in"], _type(each.get("schema", {})), each.get("description", ""))
            for each in parameters
        ]
        lines += [table(("parameter", "in", "type", "what it is"), rows)]
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        schema = content.get("application/json", next(iter(content.values())))["schema"]
        lines += [_members(_resolved(schema, schemas), schemas)]
    answers = [(status, _answer(status, response, schemas)) for status, response in operation["responses"].items()]
    lines += [table(("status", "response"), answers)]
    return "\n".join(lines)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return dict(schemas[name]) if name else schema


def _members(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (code(name), _type(each), "yes" if name in required else "no", _resolved(each, schemas).get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    return table(("member of the body", "type", "required", "what it is"), rows) if rows else ""


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return code(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    names = schema.get("type", "")
    kinds = " or ".join(names) if isinstance(names, list) else names
    for several in ("anyOf", "oneOf"):
        kinds = kinds or " or ".join(dict.fromkeys(_type(each) for each in schema.get(several, [])))
    return f"{kinds} ({schema['format']})" if "format" in schema else kinds


def _answer(status: str, response: dict[str, Any], schemas: dict[str, Any]) -> str:
    content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
    schema = content.get("schema", {})
    # The members of an error are the same everywhere: the head of the page has them.
    members = _resolved(schema.get("items", schema), schemas) if status < "400" else {}
    required = members.get("required", [])
    names = list(members.get("properties", {}))
    sure = ", ".join(code(name) for name in names if name in required)
    others = ", ".join(code(name) for name in names if name not in required)
    shown = "; not always: ".join(each for each in (sure, others) if each)
    return f"{response['description']} {_type(schema)}{': ' if shown else ''}{shown}"
