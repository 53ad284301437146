"""The links of the document: which value of a response goes into which request (OpenAPI 3.1.0 §4.8.20).

Readers see what follows a call; programs that explore the service follow them (`python -m tests.attack schemathesis`).
"""

from typing import Any


def _link(operation: str, *, body: dict[str, str] | None = None, **parameters: str) -> dict[str, Any]:
    """A link to an operation, with the places of the response that fill its parameters, or its body."""
    link: dict[str, Any] = {"operationId": operation}
    if parameters:
        link["parameters"] = {name: f"$response.body#/{place}" for name, place in parameters.items()}
    if body:
        link["requestBody"] = {name: f"$response.body#/{place}" for name, place in body.items()}
    return link


LINKS: dict[str, dict[str, Any]] = {
    "sign_in": {
        "refresh": _link("refresh", body={"refresh": "refresh"}),
        "verify": _link("verify", body={"token": "access"}),
        "sign_out": _link("sign_out", body={"refresh": "refresh"}),
    },
    "refresh": {"verify": _link("verify", body={"token": "access"})},
    "register": {"read": _link("read_user", id="id")},
    "list_users": {"read_first": _link("read_user", id="0/id")},
    "list_sessions": {"end_first": _link("end_session", session="0/id")},
    "create_profile": {
        "read": _link("read_profile", id="id"),
        "edit": _link("edit_profile_partly", id="id"),
        "delete": _link("delete_profile", id="id"),
    },
    "list_profiles": {"read_first": _link("read_profile", id="0/id")},
}
"""The links of the successful response of an operation, by its operationId."""
