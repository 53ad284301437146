"""Letters with links: how a client asks for each kind, what the link holds, and which endpoint takes it."""

from typing import Any

from tests.conftest import PASSWORD, Client, Letters, Person, post

NEW_PASSWORD = "staple gun theory"
NEW_NAME = "anna.new"

ACTIVATION, EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET = KINDS = (
    "activation",
    "email_change",
    "password_reset",
    "username_reset",
)
# On sites where people sign in with their address:
EMAIL_RESET = "email_reset"
EMAIL_RESET_ASKED_AT, EMAIL_RESET_TAKEN_AT = "/auth/users/reset_email/", "/auth/users/reset_email_confirm/"

ASKED_AT = {
    ACTIVATION: "/auth/users/resend_activation/",
    PASSWORD_RESET: "/auth/users/reset_password/",
    USERNAME_RESET: "/auth/users/reset_username/",
}
TAKEN_AT = {
    ACTIVATION: "/auth/users/activation/",
    EMAIL_CHANGE: "/auth/users/activation/",
    PASSWORD_RESET: "/auth/users/reset_password_confirm/",
    USERNAME_RESET: "/auth/users/reset_username_confirm/",
}
BESIDE: dict[str, dict[str, Any]] = {
    PASSWORD_RESET: {"new_password": NEW_PASSWORD},
    USERNAME_RESET: {"new_username": NEW_NAME},
}
ENDPOINTS: dict[str, dict[str, Any]] = {TAKEN_AT[kind]: BESIDE.get(kind, {}) for kind in KINDS}

INVALID_UID = (400, {"uid": ["Invalid user id or user doesn't exist."]})
INVALID_TOKEN = (400, {"token": ["Invalid token for given user."]})
STALE = (403, {"detail": "Stale token for given user."})
DONE = (204, None)


async def link(letters: Letters, to: str) -> dict[str, str]:
    """The uid and token of the only letter with a link that was sent to `to` since the last call of `letters`."""
    (letter,) = [each for each in await letters() if each.link and each.to == to]
    return letter.uid_and_token


async def confirm(client: Client, kind: str, given: dict[str, Any], **more: Any) -> tuple[int, Any]:
    """Post the uid and token of a link to the endpoint for its kind."""
    return await post(
        client, (TAKEN_AT | {EMAIL_RESET: EMAIL_RESET_TAKEN_AT})[kind], **BESIDE.get(kind, {}) | given | more
    )


async def register(client: Client, username: str = "anna", **given: Any) -> Any:
    """Register an account without signing in: the user object."""
    fields = {"username": username, "password": PASSWORD, "email": f"{username}@example.com"} | given
    status, user = await post(client, "/auth/users/", **fields)
    assert status == 201, user
    return user


async def activated(client: Client, letters: Letters, username: str = "anna", **given: Any) -> Person:
    """Register an account, activate it by the link in its letter, and sign in."""
    user = await register(client, username, **given)
    assert await confirm(client, ACTIVATION, await link(letters, user["email"])) == DONE
    await letters()
    return await Person(client, username, user["id"]).sign_in()


async def asked(client: Client, letters: Letters, kind: str) -> dict[str, str]:
    """Register anna in activation mode and ask for a link of `kind`: its uid and token."""
    if kind == ACTIVATION:
        await register(client)
        return await link(letters, "anna@example.com")
    anna = await activated(client, letters)
    return await asked_by(anna, letters, kind)


async def asked_by(anna: Person, letters: Letters, kind: str) -> dict[str, str]:
    """Ask for a link of `kind` for anna's existing account: its uid and token."""
    if kind == EMAIL_CHANGE:
        assert (await anna.patch("/auth/users/me/", {"email": "new@example.com"}))[0] == 200
        return await link(letters, "new@example.com")
    assert await post(anna.client, ASKED_AT[kind], email="anna@example.com") == DONE
    return await link(letters, "anna@example.com")
