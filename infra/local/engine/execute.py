"""One request from query to answer: which rows go where, in which format, by whose right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from infra.local.engine import forms
from infra.local.engine.accounts import Account
from infra.local.engine.bodies import decode
from infra.local.engine.errors import (
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    READONLY,
    SYNTAX_ERROR,
    UNKNOWN_TYPE_OF_QUERY,
    QueryError,
)
from infra.local.engine.formats import content_type, joinable
from infra.local.engine.guard import Guard
from infra.local.engine.native import revised, revises
from infra.local.engine.pool import Blocks, Engine
from infra.local.engine.request import Request
from infra.local.engine.sessions import Lease, Sessions
from infra.local.engine.spool import Spool
from infra.local.engine.statement import Insert, insert_of, is_identifier, names_file, result_format, takes_input

_HEAD_BYTES = 1 << 20  # the words of an INSERT before its rows fit in here
_QUERY_BYTES_MOST = 64 << 20


class Stream:
    """What is left of a result. It holds its connection, and its session, until it has ended or is closed."""

    def __init__(self, blocks: Blocks, lease: Lease, frame: Callable[[bytes], bytes]) -> None:
        self._blocks, self._lease, self._frame = blocks, lease, frame
        lease.held = True
        self.ahead: bytes | None = None

    def next(self) -> bytes:
        """The next piece; b"" after the last, when connection and session are free already. Raises `QueryError`."""
        data, self.ahead = self.ahead, None
        if data is None:
            try:
                data = self._frame(self._blocks.next())
            except BaseException:
                self.close()
                raise
        if not data:
            self.close()
        return data

    def close(self) -> None:
        """Cancels what is left; safe to repeat."""
        try:
            self._blocks.close()
        finally:
            self._lease.end()


@dataclass
class Answer:
    """`data` first, then what `rest` brings; `rest` must be read to its end or closed."""

    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    rest: Stream | None = None


@dataclass(frozen=True)
class Executor:
    """Runs requests; any number of threads at once."""

    engine: Engine
    sessions: Sessions
    guard: Guard

    def run(self, request: Request, account: Account, body: Spool, mark: str) -> Answer:
        """Runs a request whose body has come in whole; blocks for as long as the engine takes.

        `mark` becomes the `log_comment` of queries that only read, by which they can be killed. Raises
        `QueryError`; what an INSERT brought is then not stored (a very large one as far as it had been
        flushed, as on a server).
        """
        if request.compress or request.decompress:
            raise QueryError(
                NOT_IMPLEMENTED,
                "compress=1 and decompress=1 (ClickHouse's native blocks inside HTTP) are not served here: send "
                "Content-Encoding, or Accept-Encoding with enable_http_compression=1",
            )
        if account.readonly:
            self.guard.check_settings(request.settings)
        if request.encoding not in ("", "identity"):
            body.replace(decode(body.chunks(), request.encoding))
        tables: list[forms.Table] = []
        if forms.is_form(request.content_type):
            request, tables = _from_form(request, body)
        head = request.query.encode("utf-8", "surrogateescape")
        if head and body.size:
            head += b"\n"
        insert = insert_of(head + body.head(_HEAD_BYTES))
        with self.sessions.lease(request.session, account.user) as lease:
            if tables:
                self._external(lease, tables, account)
            if insert is not None:
                return self._insert(lease, insert, request, account, _rows(insert, head, body))
            if len(head) + body.size > _QUERY_BYTES_MOST:
                raise QueryError(QUERY_IS_TOO_LARGE, f"The query is longer than {_QUERY_BYTES_MOST} bytes")
            return self._query(lease, (head + body.head(-1)).strip(), request, account, mark)

    def _insert(
        self, lease: Lease, insert: Insert, request: Request, account: Account, rows: Iterator[bytes]
    ) -> Answer:
        if account.readonly or request.reading:
            raise _readonly(request)
        settings = self._settings(request)
        # A streamed INSERT takes no parameters of its own, but the connection's.
        settings |= {f"param_{name}": value for name, value in request.params.items()}
        lease.apply(settings)
        result = lease.connection.insert(insert.head, insert.format, rows)
        return Answer(b"", {"X-ClickHouse-Summary": json.dumps(result.summary)})

    def _query(self, lease: Lease, sql: bytes, request: Request, account: Account, mark: str) -> Answer:
        connection = lease.connection
        if not sql.rstrip(b"; \t\r\n"):
            raise QueryError(SYNTAX_ERROR, "Syntax error: Empty query")
        if names_file(sql):
            raise QueryError(UNKNOWN_TYPE_OF_QUERY, "INTO OUTFILE and FROM INFILE are for clients, not for HTTP")
        if takes_input(sql):  # the embedded engine would answer "done" and insert nothing
            raise QueryError(
                NOT_IMPLEMENTED,
                "INSERT … SELECT … FROM input(…) is not served here: INSERT the rows into a temporary table of a "
                "session, then INSERT … SELECT from that",
            )
        kind, count = connection.classify(sql)
        if count > 1:
            raise QueryError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
        reads = kind == "READ_ONLY"
        settings = self._settings(request)
        if account.readonly:
            self.guard.check(connection, sql, kind)
            settings["readonly"] = "1"
        elif request.reading and not reads and kind != "UNKNOWN":
            raise _readonly(request)
        if kind == "CONTROL":
            lease.keep(self.engine.base_settings())
        if reads:
            settings["log_comment"] = mark
        lease.apply(settings)
        format = result_format(sql) or request.default_format
        headers = {"Content-Type": content_type(format), "X-ClickHouse-Format": format}
        frame = revised if format == "Native" and revises(request.protocol_version) else bytes
        if reads and joinable(format) and not request.wait_end:
            answer = _streamed(lease, sql, format, request, headers, frame)
            if answer is not None:
                return answer
        result = connection.query(sql, format, request.params)
        if not reads and not result.data:
            headers = {}  # a statement without a result
        headers["X-ClickHouse-Summary"] = json.dumps(result.summary)
        return Answer(frame(result.data), headers)

    def _external(self, lease: Lease, tables: list[forms.Table], account: Account) -> None:
        if account.readonly:
            raise QueryError(READONLY, "External data are not for accounts that may only read")
        for table in tables:
            if not is_identifier(table.name):
                raise QueryError(SYNTAX_ERROR, f"{table.name!r} is no name of a table")
            lease.connection.query(f"CREATE TEMPORARY TABLE `{table.name}` ({table.structure}) ENGINE = Memory")
            lease.undo.append(f"DROP TEMPORARY TABLE `{table.name}`".encode())
            lease.connection.insert(f"INSERT INTO `{table.name}`", table.format, [table.rows] if table.rows else [])

    def _settings(self, request: Request) -> dict[str, str]:
        settings = self.engine.base_settings()
        if request.database is not None:
            settings["database"] = request.database
        return {**settings, **request.settings}


def _streamed(
    lease: Lease, sql: bytes, format: str, request: Request, headers: dict[str, str], frame: Callable[[bytes], bytes]
) -> Answer | None:
    """The answer block by block, or None for the few reading statements that the engine does not stream."""
    try:
        blocks = lease.connection.stream(sql, format, request.params)
        first = blocks.next()
    except QueryError as error:
        if "Streaming query is not supported" in str(error):
            return None
        raise
    headers["X-ClickHouse-Summary"] = json.dumps({"read_rows": "0", "read_bytes": "0"})
    rest = Stream(blocks, lease, frame)
    try:
        data = frame(first)
    except BaseException:
        rest.close()
        raise
    rest.ahead = rest.next()
    return Answer(data, headers, rest if rest.ahead else None)


def _from_form(request: Request, body: Spool) -> tuple[Request, list[forms.Table]]:
    """The request that a form adds to its URL, and its tables; the body is used up."""
    form = forms.parse(request.content_type, body.head(-1))
    body.replace([])
    named = dict(form.fields)
    query = request.query + named.pop("query", "")
    params = {name[6:]: named.pop(name) for name in list(named) if name.startswith("param_")}
    tables = forms.tables(form, {**request.external, **named})
    return replace(request, query=query, params={**request.params, **params}), tables


def _rows(insert: Insert, head: bytes, body: Spool) -> Iterator[bytes]:
    if insert.data < len(head):
        yield head[insert.data :]
    yield from body.chunks(max(0, insert.data - len(head)))


def _readonly(request: Request) -> QueryError:
    text = "Cannot execute query in readonly mode"
    if request.reading:
        text += ". For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries"
    return QueryError(READONLY, text)


