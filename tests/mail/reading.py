"""Reads letters as a mail program does."""

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path


@dataclass
class Read:
    """A letter: its text and HTML, decoded, and its link, or "" without one."""

    message: EmailMessage
    to: str
    subject: str
    text: str
    html: str
    link: str

    @property
    def uid_and_token(self) -> dict[str, str]:
        """What a front end reads from a link that ends with `uid/token`."""
        uid, token = self.link.split("/")[-2:]
        return {"uid": uid, "token": token}


def read(content: bytes) -> Read:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    parts = list(message.iter_parts()) or [message]
    text, html = [*(part.get_content().replace("\r\n", "\n") for part in parts), ""][:2]
    links = re.findall(r"^\S+://\S+/[\w-]+/[\w-]{43}$", text, re.MULTILINE)
    return Read(message, message["To"].addresses[0].addr_spec, message["Subject"], text, html, (links or [""])[0])


def collect(folder: Path) -> list[Read]:
    """Read and delete the letters of a folder, the oldest first."""
    found = []
    for file in sorted(folder.glob("*.eml")):
        found.append(read(file.read_bytes()))
        file.unlink()
    return found
