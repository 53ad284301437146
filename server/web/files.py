"""Files that browsers cache: revalidated at each use, sent only when they have changed."""

import functools
import hashlib
import mimetypes
from collections.abc import Sequence

from aiohttp import hdrs, web

from server.web.pieces import body_of
from server.web.responses import SECURITY_HEADERS


def send_file(request: web.Request, name: str, content: bytes, policy: str) -> web.Response:
    """Respond with `content` as the file `name`, under the Content-Security-Policy `policy`.

    The ending of `name` gives the content type. Responds 304 when the client has the same content.
    """
    headers = {
        **SECURITY_HEADERS,
        "Content-Security-Policy": policy,
        "Cache-Control": "no-cache",
        "ETag": _etag(content),
    }
    if _is_cached(request.headers.getall(hdrs.IF_NONE_MATCH, ()), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    charset = "utf-8" if content_type.startswith("text/") or content_type.endswith("javascript") else None
    body = body_of(content, is_shared=True)  # callers keep their contents
    return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)


def _is_cached(headers: Sequence[str], tag: str) -> bool:
    """Whether If-None-Match has `tag`, by weak comparison (RFC 9110 §13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in ",".join(headers).split(",")]
    return tag in tags or tags == ["*"]


@functools.lru_cache(16)
def _etag(content: bytes) -> str:
    # Bytes objects keep their hash, so that a cache hit does not read the content again.
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
