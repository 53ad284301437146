"""The registration bodies that real front ends send, and the site that serves each (docs/migrate-a-front-end.md)."""

import dataclasses
from pathlib import Path
from typing import Any

ADDRESS = "anna@example.com"
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "site"


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a front end sends beside passwords, the site that serves it, and the member it greets people with."""

    fields: dict[str, Any]
    site_file: str  # of examples/site; "" for none
    login_field: str
    greets_with: str


SHAPES = {
    "first and last name": Shape(
        {"first_name": "Anna", "last_name": "Kovač", "email": ADDRESS}, "email-and-names", "email", "first_name"
    ),
    "one name": Shape({"name": "Anna K.", "email": ADDRESS}, "email-and-name", "email", "name"),
    "username": Shape({"username": "anna", "email": ADDRESS}, "", "username", "username"),
    "e-mail alone": Shape({"email": ADDRESS}, "email-alone", "email", "email"),
    "full name and terms": Shape(
        {"username": "anna", "email": ADDRESS, "full_name": "Anna K.", "agreed_to_terms": True},
        *("username-and-full-name", "username", "full_name"),
    ),
    "username, names and phone": Shape(
        {
            **{"username": "anna", "first_name": "Anna", "last_name": "Kovač"},
            **{"email": ADDRESS, "phone_number": "+385 1 234"},
        },
        *("username-and-names", "either", "first_name"),
    ),
    "name, avatar and introduction": Shape(
        {"email": ADDRESS, "name": "Anna K.", "avatar": "https://example.com/a.png", "introduction": "film club"},
        *("email-and-name", "email", "name"),
    ),
}
