"""Link pages as tests open and read them."""

import html
import re
from html.parser import HTMLParser

from server.auth.one_time_tokens import ACTIVATION, EMAIL_CHANGE, EMAIL_RESET, PASSWORD_RESET, USERNAME_RESET, write_uid
from server.web.app_keys import DB, ONE_TIME_TOKENS
from tests.conftest import PASSWORD, Client, Person, post

NEW_PASSWORD = "staple gun theory"

PATHS = {
    ACTIVATION: "/activate/{}/{}",
    EMAIL_CHANGE: "/activate/{}/{}",
    PASSWORD_RESET: "/password/reset/{}/{}",
    USERNAME_RESET: "/username/reset/{}/{}",
}

EMAIL_RESET_PATH = "/email/reset/{}/{}"  # on sites where people sign in with their address

PAGES = tuple(path.format("MQ", "a-token-that-was-never-issued") for path in sorted(set(PATHS.values())))

VALID_FIELDS = {
    "/activate": {},
    "/password": {"new_password": NEW_PASSWORD, "re_new_password": NEW_PASSWORD},
    "/username": {"new_username": "anna.k"},
}


class Outline(HTMLParser):
    """The elements of a page in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


async def issue(client: Client, person: Person, purpose: str) -> str:
    """Issue a token as a letter would: the path of its page."""
    one_time_tokens = client.app[ONE_TIME_TOKENS]
    async with client.app[DB].transaction() as transaction:
        token = one_time_tokens.tokens(await one_time_tokens.issue(transaction, person.id, purpose))[0]
    return (PATHS | {EMAIL_RESET: EMAIL_RESET_PATH})[purpose].format(write_uid(person.id), token)


def title(text: str) -> str:
    """The title of the page."""
    return html.unescape(found(re.search("<title>(.*?)</title>", text)))


def fault_of(text: str, field: str) -> str:
    """The HTML of the faults that the page shows at a field."""
    return html.unescape(found(re.search(f'id="{field}-fault">(.*?)</ul>', text, re.DOTALL)))


def found(match: re.Match[str] | None) -> str:
    assert match is not None
    return match[1]


async def send(client: Client, path: str, **fields: str) -> tuple[int, str]:
    async with client.post(path, data=fields) as response:
        assert response.content_type == "text/html"
        return response.status, await response.text()


async def sign_in(client: Client, username: str, password: str = PASSWORD) -> int:
    return (await post(client, "/auth/jwt/create/", username=username, password=password))[0]
