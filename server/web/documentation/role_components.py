"""What roles add to the document: the fields of each role, and a profile for each of them.

The `role` of a profile tells which `fields` it has, so that generated clients know their types.
"""

import copy
from typing import Any

from server.settings.field_schemas import inlined
from server.settings.roles import Role, Roles

WITHOUT_ROLE = "ProfileWithoutRole"


def component(name: str) -> dict[str, str]:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def input_name(role: Role) -> str:
    """The name of the schema of all fields of a role in a request."""
    return f"{_type_name(role)}FieldsInput"


def update_name(role: Role) -> str:
    """The name of the schema of those fields of a role that change."""
    return f"{_type_name(role)}FieldsUpdate"


def role_components(roles: Roles) -> dict[str, dict[str, Any]]:
    """The schemas of the fields of each role: in a response, in a request with all of them, and in one with changes."""
    found: dict[str, dict[str, Any]] = {}
    for role in roles:
        whole = inlined(role.fields)
        properties = whole.get("properties", {})
        of_role: dict[str, Any] = {"type": "object", "description": f"The fields of the role `{role.name}`."}
        # Of a response nothing is required: staff can give an account a role before its fields are known.
        found[_fields_name(role)] = of_role | {"properties": properties}
        found[input_name(role)] = of_role | whole
        found[update_name(role)] = of_role | {
            "properties": {name: {"anyOf": [each, {"type": "null"}]} for name, each in properties.items()},
        }
    return found


def type_roles(schemas: dict[str, Any], roles: Roles) -> None:
    """Name the roles that a member `role` may have, and replace the schema `Profile` by one for each role."""
    if not roles:
        return
    schemas["RoleName"] = {"type": "string", "enum": [role.name for role in roles], "description": "A role."}
    for name in ("User", "UserDetails", "UserUpdate", "Credentials"):
        _type_role(schemas[name], [component("RoleName")])
    chosen = roles.open_to_all()
    if chosen:
        description = "A role that a registration may choose."
        schemas["RegistrationRole"] = {"type": "string", "enum": chosen, "description": description}
    _type_role(schemas["Registration"], [component("RegistrationRole")] if chosen else [])
    _split_profile(schemas, roles)


def _type_role(schema: dict[str, Any], types: list[dict[str, Any]]) -> None:
    role = schema["properties"]["role"]
    described = {"description": role["description"]} if "description" in role else {}
    schema["properties"]["role"] = described | {"anyOf": [*types, {"type": "null"}]}


def _split_profile(schemas: dict[str, Any], roles: Roles) -> None:
    profile = schemas["Profile"]
    names = {role.name: f"{_type_name(role)}Profile" for role in roles}
    for role in roles:
        schemas[names[role.name]] = _with(
            profile, {"type": "string", "const": role.name}, component(_fields_name(role))
        )
    schemas[WITHOUT_ROLE] = _with(profile, {"type": "null"}, {"type": "object", "maxProperties": 0})
    schemas["Profile"] = {
        "description": "A profile; its `role` tells which `fields` it has.",
        "oneOf": [component(name) for name in (*names.values(), WITHOUT_ROLE)],
    }


def _with(profile: dict[str, Any], role: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    copied = copy.deepcopy(profile)
    copied["properties"] |= {"role": role, "fields": fields}
    return copied


def _fields_name(role: Role) -> str:
    return f"{_type_name(role)}Fields"


def _type_name(role: Role) -> str:
    """`class-teacher` as the name of a type: `ClassTeacher`. A name with `_` keeps it, so that two roles differ."""
    return "".join(part[:1].upper() + part[1:] for part in role.name.split("-"))
