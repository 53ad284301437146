"""The head of a request while it arrives: where it ends, what it costs in memory, and what it must not be."""

from aiohttp.http_exceptions import HttpProcessingError

from server.errors import BadRequest, Problem
from server.web.refusals import TransferEncodingNotSupported, VersionNotSupported

HEAD_MAX_BYTES = 32 * 1024
HEAD_COST = 2  # the parser keeps each header as text and as bytes
LINE_COST_BYTES = 320  # of each header: four strings and two tuples
LINES_MAX = 128  # headers that the parser takes

_END = b"\r\n\r\n"
_OTHER_VERSIONS = (b" HTTP/0.9", b" HTTP/2.0")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"  # of HTTP/2 (RFC 9113 §3.4); the parser waits for six bytes after it


# What the parser says about a version that HTTP does not have, and about a coding that is not `chunked`.
PARSER_TEXTS: dict[str, type[Problem]] = {
    "Invalid HTTP version": VersionNotSupported,
    "Request has invalid `Transfer-Encoding`": TransferEncodingNotSupported,
    "Invalid `Transfer-Encoding` header value": TransferEncodingNotSupported,
}


class Refused(HttpProcessingError):
    """The head of a request is refused; `problem` is the response."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(code=problem.status, message=problem.detail)
        self.problem = problem


def is_one(data: bytes) -> bool:
    """Whether the bytes end with the first end of a head in them."""
    return data.find(_END) + len(_END) == len(data)


def cost(data: bytes) -> int:
    """The memory that the parser takes for these bytes of heads."""
    return HEAD_COST * len(data) + LINE_COST_BYTES * min(data.count(b"\n"), LINES_MAX)


class Head:
    """The head of a request that is not complete."""

    def __init__(self) -> None:
        self.size = 0
        self._first = b""
        self._last = b""  # its end may come in two packets

    def add(self, data: bytes) -> None:
        """Add bytes that have not completed it. Raises Refused."""
        self._first = (self._first + data[: len(_PREFACE)])[: len(_PREFACE)]
        if self._first == _PREFACE:
            raise Refused(VersionNotSupported())
        self.size += len(data)
        self._last = (self._last + data[-3:])[-3:]
        if self.size >= HEAD_MAX_BYTES:
            raise Refused(BadRequest("The head of the request is too large."))

    def clear(self) -> None:
        """The next one begins."""
        if self.size:
            self.size, self._first, self._last = 0, b"", b""

    def end(self, data: bytes, begin: int, limit: int) -> int:
        """Where in `data` it ends, which goes on with it at `begin`; `limit` if it does not end before."""
        if self._last:
            found = (self._last + data[begin : begin + 3]).find(_END)
            if found >= 0:
                return begin + found + len(_END) - len(self._last)
        found = data.find(_END, begin, limit)
        return found + len(_END) if found >= 0 else limit

    def refusal(self, data: bytes, failure: HttpProcessingError) -> HttpProcessingError:
        """Why it is refused. The parser takes some versions, and trips over what follows the request."""
        is_other_version = not self.size and data.partition(b"\r\n")[0].endswith(_OTHER_VERSIONS)
        return Refused(VersionNotSupported()) if is_other_version else failure


def problem_of(failure: BaseException | None) -> Problem:
    """The response to what the parser refuses."""
    if isinstance(failure, Refused):
        return failure.problem
    if isinstance(failure, HttpProcessingError):
        for text, problem in PARSER_TEXTS.items():
            if text in failure.message:
                return problem()
    return BadRequest()
