"""Letters that a service has written to its folder, and the links in them."""

import asyncio
import time

from tests.attack.stage import Service
from tests.mail.reading import collect

LETTER_SECONDS = 20.0
LOOK_SECONDS = 0.05
KINDS = {"activate": "activation", "password/reset": "password_reset", "username/reset": "username_reset"}


async def read_links(service: Service, number: int, *addresses: str) -> list[dict[str, str]]:
    """Wait for that many letters with a link to `addresses`: kind, to, uid and token of each. Raises TimeoutError.

    The link of a new address is an activation link, so its kind is "activation", too.
    """
    links: list[dict[str, str]] = []
    deadline = time.monotonic() + LETTER_SECONDS
    while len(links) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(links)} of {number} letters after {LETTER_SECONDS:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
        for letter in collect(service.letters):
            for path, kind in KINDS.items():
                if f"/{path}/" in letter.link and letter.to in addresses:
                    links.append({"kind": kind, "to": letter.to, **letter.uid_and_token})
    return links


def proof(link: dict[str, str]) -> dict[str, str]:
    """What an endpoint that follows the link takes."""
    return {"uid": link["uid"], "token": link["token"]}
