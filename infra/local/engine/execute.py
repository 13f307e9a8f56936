"""One request from query to answer: which rows go where, in which format, on whose rights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from infra.local.engine.bodies import decode
from infra.local.engine.errors import (
    NOT_IMPLEMENTED,
    READONLY,
    SYNTAX_ERROR,
    UNKNOWN_TYPE_OF_QUERY,
    QueryError,
)
from infra.local.engine.pool import Connection, Engine
from infra.local.engine.request import Request
from infra.local.engine.sessions import Sessions
from infra.local.engine.spool import Spool
from infra.local.engine.statement import Insert, insert_of, names_file, result_format

# chdb streams a result as blocks that are each complete in their format; only these can be joined.
_JOINABLE = frozenset(
    "native tabseparated tsv tabseparatedraw tsvraw csv rowbinary jsoneachrow ndjson jsonlines "
    "jsoncompacteachrow jsonstringseachrow jsoncompactstringseachrow tskv linesasstring rawblob".split()
)
_CONTENT_TYPE = {
    "json": "application/json; charset=UTF-8", "ndjson": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent", "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "csvwithnamesandtypes": "text/csv; charset=UTF-8; header=present", "xml": "application/xml; charset=UTF-8",
    "markdown": "text/markdown; charset=UTF-8",
    "parquet": "application/octet-stream", "html": "text/html; charset=UTF-8",
}  # fmt: skip
_BINARY = ("native", "rowbinary", "arrow", "orc", "avro", "msgpack", "protobuf", "capnproto", "npy", "bsoneachrow")
_HEAD_BYTES = 1 << 20  # an INSERT's words before its data fit in here
_QUERY_BYTES_MOST = 64 << 20


@dataclass
class Answer:
    """`data` first, then what `rest` yields until it ends; `rest` raises `QueryError` when the query breaks."""

    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    rest: Iterator[bytes] | None = None


def run(
    engine: Engine, sessions: Sessions, request: Request, user: str, readonly: bool, body: Spool, mark: str
) -> Answer:
    """Runs a request whose body has come in whole. Raises `QueryError`; then no row was stored.

    `mark` is put into the queries' `log_comment`, by which a running one can be found and killed.
    """
    if request.compress or request.decompress:
        raise QueryError(
            NOT_IMPLEMENTED,
            "This engine does not speak ClickHouse's native block compression over HTTP (compress=1, decompress=1). "
            "Use Content-Encoding, and Accept-Encoding with enable_http_compression=1",
        )
    if request.encoding:
        body = body.replaced_by(decode(body.chunks(), request.encoding))
    head = request.query.encode("utf-8", "surrogateescape")
    if head and body.size:
        head += b"\n"
    start = head + body.head(_HEAD_BYTES)
    insert = insert_of(start)
    with sessions.connection(engine, request.session, user) as lease:
        connection = lease.connection
        if insert is not None:
            if request.reading or readonly:
                raise QueryError(READONLY, "Cannot execute query in readonly mode")
            lease.apply(_settings(engine, request, mark))
            rows = body.chunks_from(insert.data - len(head)) if insert.data >= len(head) else _joined(
                head[insert.data :], body
            )
            return _inserted(connection, insert, request.params, rows)
        if body.size > _QUERY_BYTES_MOST:
            raise QueryError(229, f"The query is longer than {_QUERY_BYTES_MOST} bytes", "QUERY_IS_TOO_LARGE")
        sql = (head + body.read()).strip()
        return _selected(engine, lease, sql, request, readonly, mark)


def _settings(engine: Engine, request: Request, mark: str) -> dict[str, str]:
    settings = engine.base_settings()
    if request.database is not None:
        settings["database"] = request.database
    settings["log_comment"] = mark
    settings.update(request.settings)
    return settings


def _joined(first: bytes, body: Spool) -> Iterator[bytes]:
    yield first
    yield from body.chunks()


def _inserted(connection: Connection, insert: Insert, params: Mapping[str, str], rows: Iterator[bytes]) -> Answer:
    if params:
        connection.set({f"param_{name}": value for name, value in params.items()})
    result = connection.insert(insert.head, insert.format, rows)
    return Answer(b"", {"X-ClickHouse-Summary": json.dumps(result.summary)})


def _selected(engine: Engine, lease: object, sql: bytes, request: Request, readonly: bool, mark: str) -> Answer:
    connection: Connection = lease.connection  # type: ignore[attr-defined]
    if not sql:
        raise QueryError(SYNTAX_ERROR, "Empty query")
    if names_file(sql):
        raise QueryError(UNKNOWN_TYPE_OF_QUERY, "INTO OUTFILE and FROM INFILE belong to a client, not to HTTP")
    kind, count = connection.classify(sql)
    if count > 1:
        raise QueryError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if (request.reading or readonly) and kind not in ("READ_ONLY", "UNKNOWN"):
        raise QueryError(READONLY, "Cannot execute query in readonly mode")
    settings = _settings(engine, request, mark)
    if readonly:
        settings["readonly"] = "1"
    lease.apply(settings)  # type: ignore[attr-defined]
    if kind == "CONTROL":
        lease.keep()  # type: ignore[attr-defined]
    format = result_format(sql) or request.default_format
    headers = {"Content-Type": content_type(format), "X-ClickHouse-Format": format}
    if kind == "READ_ONLY" and not request.wait_end and format.lower() in _JOINABLE:
        blocks = connection.stream(sql, format, request.params)
        try:
            first = next(blocks, b"")
        except QueryError as error:
            if "Streaming query is not supported" not in str(error):
                raise
        else:
            headers["X-ClickHouse-Summary"] = "{}"
            return Answer(first, headers, lease.until_end(blocks))  # type: ignore[attr-defined]
    result = connection.query(sql, format, request.params)
    if kind != "READ_ONLY" and not result.data:
        headers = {}
    headers["X-ClickHouse-Summary"] = json.dumps(result.summary)
    return Answer(result.data, headers)


def content_type(format: str) -> str:
    name = format.lower()
    if name in _CONTENT_TYPE:
        return _CONTENT_TYPE[name]
    if name.startswith(_BINARY):
        return "application/octet-stream"
    if name.startswith("json"):
        return _CONTENT_TYPE["ndjson" if "eachrow" in name or name == "jsonlines" else "json"]
    if name in ("tabseparated", "tsv", "tabseparatedwithnames", "tsvwithnames", "tabseparatedwithnamesandtypes"):
        return "text/tab-separated-values; charset=UTF-8"
    return "text/plain; charset=UTF-8"
