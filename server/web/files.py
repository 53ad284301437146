"""Files that browsers keep: asked for again each time, sent only when they changed."""

import functools
import hashlib
import mimetypes
from collections.abc import Sequence

from aiohttp import hdrs, web

from server.web.responses import SECURITY_HEADERS


def send_file(request: web.Request, name: str, content: bytes, policy: str) -> web.Response:
    """`content` as the file `name`, which says its type, under a Content-Security-Policy; 304 when it is there."""
    headers = {
        **SECURITY_HEADERS,
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "ETag": _tag(content),
    }
    if _is_known(request.headers.getall(hdrs.IF_NONE_MATCH, ()), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    charset = "utf-8" if kind.startswith("text/") or kind.endswith("javascript") else None
    return web.Response(body=content, content_type=kind, charset=charset, headers=headers)


def _is_known(headers: Sequence[str], tag: str) -> bool:
    """Whether If-None-Match names `tag`, weakly compared (RFC 9110 §13.1.2)."""
    known = [each.strip().removeprefix("W/") for each in ",".join(headers).split(",")]
    return tag in known or known == ["*"]


@functools.lru_cache(16)
def _tag(content: bytes) -> str:
    # Bytes keep their hash once it was asked for, so that finding the tag again reads nothing.
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
