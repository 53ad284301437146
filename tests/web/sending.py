"""Bodies as tests send them."""

import io
from typing import Any

from tests.conftest import Client

JSON = {"Content-Type": "application/json"}

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


async def send(client: Client, data: Any, headers: dict[str, str], path: str = "/auth/jwt/create/") -> tuple[int, Any]:
    """Post a body: (status, json)."""
    # As a file: aiohttp warns about large bodies that are bytes.
    content = io.BytesIO(data) if isinstance(data, bytes) else data
    async with client.post(path, data=content, headers=headers) as response:
        return response.status, await response.json()
