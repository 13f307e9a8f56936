"""What an HTTP request asks of the engine: a pure reading of its method, URL and headers.

ClickHouse's HTTP interface: https://clickhouse.com/docs/interfaces/http
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from infra.local.engine.errors import BAD_ARGUMENTS, INVALID_SESSION_TIMEOUT, QueryError

DEFAULT_FORMAT = "TabSeparated"
SESSION_SECONDS = 60
SESSION_SECONDS_MOST = 3600

# Names of the URL that belong to the transport. A server reads them itself; the engine would not know them or
# they mean nothing without ClickHouse's own socket.
_TRANSPORT = frozenset({
    "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close",
    "client_protocol_version", "close_session", "compress", "database", "decompress", "default_format",
    "enable_http_compression", "http_headers_progress_interval_ms",
    "http_native_compression_disable_checksumming_on_decompress", "http_response_buffer_size",
    "http_write_exception_in_output_format", "http_zlib_compression_level", "log_comment", "password", "query",
    "query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id",
    "session_timeout", "stacktrace", "user", "wait_end_of_query",
})  # fmt: skip
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_TRUE = ("1", "true")


@dataclass(frozen=True)
class SessionRef:
    id: str
    seconds: int
    must_exist: bool
    close: bool


@dataclass(frozen=True)
class Request:
    """`query` is the URL's part of the query; the body may hold the rest, or an INSERT's rows."""

    query: str
    reading: bool  # GET and HEAD change nothing
    user: str | None
    password: str
    query_id: str | None
    database: str | None
    default_format: str
    params: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    external: Mapping[str, str] = field(default_factory=dict)  # `t_structure=…` of external data, by its name
    session: SessionRef | None = None
    compress: bool = False  # ClickHouse's native blocks around the answer
    decompress: bool = False  # … around the body
    wait_end: bool = False
    protocol_version: int = 0  # of Native blocks in the answer
    cors: bool = False
    encoding: str = ""  # Content-Encoding of the body
    accept: str | None = None  # Accept-Encoding; `enable_http_compression` is on unless the URL says otherwise
    content_type: str = ""


def parse(method: str, query_string: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Request:
    """Reads a request without its body. Raises `QueryError` where ClickHouse refuses the request."""
    text = query_string.decode("ascii", "replace")
    url = dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=10_000))
    head = {name.lower(): value.decode("latin-1") for name, value in headers}
    user, password = _credentials(url, head)
    settings = {n: v for n, v in url.items() if n not in _TRANSPORT and not n.startswith("param_")}
    external = {n: settings.pop(n) for n in list(settings) if n.endswith(("_structure", "_types"))}
    external |= {n: settings.pop(n) for n in list(settings) if n.endswith("_format") and _is_external(n, external)}
    for name, value in url.items():
        if name != "query" and not _is_utf8(name + value):
            raise QueryError(BAD_ARGUMENTS, f"{name!a} in the URL is not UTF-8")
    for name in settings:
        if not _SETTING.match(name):
            raise QueryError(BAD_ARGUMENTS, f"{name!r} in the URL is no name of a setting")
    return Request(
        query=url.get("query", ""),
        reading=method in ("GET", "HEAD"),
        user=user,
        password=password,
        query_id=url.get("query_id") or head.get(b"x-clickhouse-query-id") or None,
        database=url.get("database") or head.get(b"x-clickhouse-database") or None,
        default_format=url.get("default_format") or head.get(b"x-clickhouse-format") or DEFAULT_FORMAT,
        params={n[6:]: v for n, v in url.items() if n.startswith("param_")},
        settings=settings,
        external=external,
        session=_session(url),
        compress=url.get("compress") in _TRUE,
        decompress=url.get("decompress") in _TRUE,
        wait_end=url.get("wait_end_of_query") in _TRUE,
        protocol_version=int(version) if (version := url.get("client_protocol_version", "0")).isdecimal() else 0,
        cors=url.get("add_http_cors_header") in _TRUE,
        encoding=head.get(b"content-encoding", "").strip().lower(),
        accept=head.get(b"accept-encoding") if url.get("enable_http_compression", "1") in _TRUE else None,
        content_type=head.get(b"content-type", ""),
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_external(name: str, external: Mapping[str, str]) -> bool:
    table = name.removesuffix("_format")
    return f"{table}_structure" in external or f"{table}_types" in external


def _credentials(url: Mapping[str, str], head: Mapping[bytes, str]) -> tuple[str | None, str]:
    if b"x-clickhouse-user" in head or b"x-clickhouse-key" in head:
        return head.get(b"x-clickhouse-user", "default"), head.get(b"x-clickhouse-key", "")
    scheme, _, value = head.get(b"authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return user, password
    if "user" in url or "password" in url:
        return url.get("user", "default"), url.get("password", "")
    return None, ""


def _session(url: Mapping[str, str]) -> SessionRef | None:
    name = url.get("session_id")
    if not name:
        return None
    text = url.get("session_timeout", str(SESSION_SECONDS))
    if not text.isdecimal() or int(text) > SESSION_SECONDS_MOST:
        raise QueryError(
            INVALID_SESSION_TIMEOUT,
            f"Invalid session timeout: '{text}'. Maximum session timeout is {SESSION_SECONDS_MOST} seconds",
        )
    return SessionRef(name, int(text), url.get("session_check") in _TRUE, url.get("close_session") in _TRUE)
