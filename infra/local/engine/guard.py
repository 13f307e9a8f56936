"""What an account that may only read must not ask.

`SET readonly=1` on a connection stops every write, DDL, SET and table function that reaches outside. Tried on
chdb 26.9, it does not stop: the scalar function `file('/etc/passwd')`, `DESCRIBE url(…)` (which opens the
address), `INTO OUTFILE`, `KILL QUERY`, the table function `python`. A server has grants against these; here
the statement itself is looked at, after the engine has classified it and written it anew without comments and
odd spelling.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.engine.errors import READONLY, SYNTAX_ERROR, QueryError
from infra.local.engine.pool import Connection, Engine, literal
from infra.local.engine.statement import tokens

# Table functions that reach nothing but tables and numbers; every other one of the engine's is refused.
_HARMLESS = frozenset({
    "format", "generate_series", "generaterandom", "generateseries", "loop", "merge", "mergetreeindex",
    "mergetreeprojection", "null", "numbers", "numbers_mt", "primes", "sqlstandardvalues", "values", "view",
    "viewexplain", "viewifpermitted", "zeros", "zeros_mt",
})  # fmt: skip
# Scalar functions that read files or call out.
_REACHING = frozenset({
    "file", "aiclassify", "aiembed", "aiextract", "aifilter", "aigenerate", "airedact", "aisimilarity",
    "aisummarize", "aitranslate", "catboostevaluate", "reversednsquery", "showcertificate",
})  # fmt: skip
# Settings that change who may do what, or how a statement is read.
_RESERVED = frozenset({"readonly", "allow_ddl", "dialect", "implicit_select"})
_READS = "READ_ONLY"
_REMEMBERED = 4_096


class Guard:
    """Refuses what only a writing account may ask. One for all threads."""

    def __init__(self, engine: Engine) -> None:
        connection = engine.connect()
        try:
            listed = connection.query("SELECT lower(name) FROM system.table_functions").data.decode().split()
        finally:
            connection.close()
        self._denied = frozenset(name.encode() for name in (set(listed) - _HARMLESS) | _REACHING)
        self._allowed: set[bytes] = set()

    def check_settings(self, settings: Mapping[str, str]) -> None:
        for name in _RESERVED & settings.keys():
            raise QueryError(READONLY, f"Cannot modify '{name}' setting in readonly mode")

    def check(self, connection: Connection, sql: bytes, kind: str) -> None:
        """Raises READONLY unless `sql`, of `kind` to the engine's classifier, only reads the engine's tables."""
        if sql in self._allowed:
            return
        written = _written_anew(connection, sql)
        if kind != _READS:
            raise QueryError(READONLY, "Cannot execute query in readonly mode")
        previous = b""
        for token in tokens(written):
            if token.value == b"(" and previous in self._denied:
                raise QueryError(READONLY, f"{previous.decode()}() is not for accounts that may only read")
            previous = token.value.strip(b'`"').lower() if token.kind in ("word", "name") else b""
        if len(self._allowed) >= _REMEMBERED:
            self._allowed.clear()
        if len(sql) <= _REMEMBERED:
            self._allowed.add(sql)


def _written_anew(connection: Connection, sql: bytes) -> bytes:
    """The statement as the engine's parser understood it, on one line, without comments."""
    try:
        written = connection.query(b"SELECT formatQuerySingleLine(" + literal(sql) + b") FORMAT TSVRaw").data
    except QueryError as error:
        text = str(error).partition("DB::Exception: ")[2].partition(": In scope SELECT formatQuery")[0]
        raise QueryError(error.code, text) from None
    if not written.strip():
        raise QueryError(SYNTAX_ERROR, "Empty query")
    return written
