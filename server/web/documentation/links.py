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
        "refresh": _link("refresh_access_token", body={"refresh": "refresh"}),
        "verify": _link("verify_token", body={"token": "access"}),
        "sign_out": _link("sign_out", body={"refresh": "refresh"}),
    },
    "refresh_access_token": {"verify": _link("verify_token", body={"token": "access"})},
    "create_user": {"get": _link("get_user", id="id")},
    "list_users": {"get_first": _link("get_user", id="0/id")},
    "list_sessions": {"end_first": _link("end_session", session="0/id")},
    "create_profile": {
        "get": _link("get_profile", id="id"),
        "update": _link("update_profile", id="id"),
        "delete": _link("delete_profile", id="id"),
    },
    "list_profiles": {"get_first": _link("get_profile", id="0/id")},
}
"""The links of the successful response of an operation, by its operationId."""
