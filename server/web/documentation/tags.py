"""The groups of operations in the document, in the order in which a newcomer needs them."""

TAGS = {
    "sign-in": "Sign in, get new access tokens, sign out.",
    "users": "Register; read, change and delete accounts. `me` is the account of the caller.",
    "profiles": "What people show of themselves. Everyone who is signed in reads them; only the owner changes one.",
    "passwords": "Change a password, or choose another with the link of a letter.",
    "usernames": "Change what an account signs in with, or choose another with the link of a letter.",
    "activation": "Confirm an account, or a new address, with the link of a letter.",
    "sessions": "Where an account is signed in. Each can be ended.",
    "api-tokens": "One token for programs, until it is deleted or the password changes.",
    "site": "What a front end needs to know to make its forms.",
    "roles": "The roles that accounts can have, and the fields of each.",
    "events": "What happened to accounts, by whom and from where.",
    "service": "For operators: whether the service responds, and whether it is ready.",
}
"""What each tag of an endpoint is about (OpenAPI 3.1.0 §4.8.22)."""
