"""Errors of HTTP itself, which no endpoint raises (security 40, 41). All others are in `server/errors.py`."""

from server.errors import Problem


class TransferEncodingNotSupported(Problem):
    """The body has another coding than `chunked` (RFC 9112 §6.1)."""

    status = 501
    text = "The transfer encoding of the request is not supported."


class VersionNotSupported(Problem):
    """The request is not HTTP/1.0 or HTTP/1.1 (RFC 9110 §15.6.6)."""

    status = 505
    text = "The HTTP version of the request is not supported."
