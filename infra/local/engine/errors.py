"""Errors in ClickHouse's own shape: code, name, text and the HTTP status that a server would answer."""

from __future__ import annotations

import re

BAD_ARGUMENTS = 36
NOT_ENOUGH_SPACE = 243
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
UNKNOWN_TYPE_OF_QUERY = 78
CANNOT_READ_ALL_DATA = 33
INCORRECT_DATA = 117
READONLY = 164
REQUIRED_PASSWORD = 194
TOO_MANY_SIMULTANEOUS_QUERIES = 202
INVALID_SESSION_TIMEOUT = 374
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
QUERY_IS_TOO_LARGE = 229
QUERY_WAS_CANCELLED = 394
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

NAMES = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_TYPE_OF_QUERY: "UNKNOWN_TYPE_OF_QUERY",
    CANNOT_READ_ALL_DATA: "CANNOT_READ_ALL_DATA",
    INCORRECT_DATA: "INCORRECT_DATA",
    READONLY: "READONLY",
    REQUIRED_PASSWORD: "REQUIRED_PASSWORD",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    QUERY_WAS_CANCELLED: "QUERY_WAS_CANCELLED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp; whatever is not here is 500.
_STATUS = {
    401: (194,),
    403: (192, 193, 497, 512, 516),
    400: (6, 8, 15, 25, 26, 27, 36, 38, 41, 43, 44, 53, 62, 72, 117, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 106, 115, 211, 336, 511),
    413: (229, 307),
    501: (48,),
    503: (76, 202, 209, 439),
    411: (381,),
    408: (159,),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}

_MESSAGE = re.compile(r"Code: (\d+)\. DB::Exception: ", re.DOTALL)
_TRAILER = re.compile(r"(?:\s*\(([A-Z0-9_]+)\)\.?|\s*\(version [^)]*\)\.?)\s*\Z")


class QueryError(Exception):
    """A query that the engine, or this process in a server's stead, refuses.

    `str()` is the body that ClickHouse would send, `code` its error code, `status` its HTTP status.
    """

    def __init__(self, code: int, message: str, name: str | None = None) -> None:
        self.code = code
        self.status = _STATUS_OF.get(code, 500)
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name or NAMES.get(code, 'ERROR')})")


def from_engine(text: str) -> QueryError:
    """The engine's error text as a `QueryError`; repeated prefixes and trailers are told once."""
    first = _MESSAGE.search(text)
    if first is None:
        return QueryError(UNKNOWN_EXCEPTION, text.strip() or "the engine gave no reason")
    rest = text[first.end() :]
    while again := _MESSAGE.match(rest):
        rest = rest[again.end() :]
    name = None
    while trailer := _TRAILER.search(rest):
        name = trailer.group(1) or name
        rest = rest[: trailer.start()]
    return QueryError(int(first.group(1)), rest.rstrip(), name)
