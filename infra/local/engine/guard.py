"""What an account that may only read must not ask.

`SET readonly=1` on a connection stops every write, DDL, SET and table function that reaches outside. Tried on
chdb 26.9, it does not stop: the scalar function `file('/etc/passwd')`, `DESCRIBE url(…)` (which opens the
address), `INTO OUTFILE`, `KILL QUERY`, the table function `python`, `EXISTS` on a file's path; and settings
whose value is an expression or a path. A server has grants against these. Here the statement itself is looked
at, after the engine has classified it and written it anew without comments and odd spelling.
"""

from __future__ import annotations

import itertools
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
# Settings that say who may do what, or how a statement is read.
_RESERVED = frozenset({"readonly", "allow_ddl", "dialect", "implicit_select"})
# Of the settings that are text (expressions, paths, credentials and templates among them), those that are not.
_HARMLESS_TEXTS = frozenset({
    "bool_false_representation", "bool_true_representation", "compatibility", "count_distinct_implementation",
    "format_csv_null_representation", "format_tsv_null_representation", "insert_deduplication_token",
    "output_format_pretty_grid_charset", "query_cache_tag", "workload",
})  # fmt: skip
_REMEMBERED = 4_096


class Guard:
    """Refuses what only a writing account may ask. One for all threads."""

    def __init__(self, engine: Engine) -> None:
        connection = engine.connect()
        try:
            functions = connection.query("SELECT lower(name) FROM system.table_functions").data.split()
            texts = connection.query("SELECT name FROM system.settings WHERE type IN ('String', 'Map', 'URI')").data
        finally:
            connection.close()
        harmless = {name.encode() for name in _HARMLESS}
        self._functions = (frozenset(functions) - harmless) | {name.encode() for name in _REACHING}
        self._settings = (frozenset(texts.decode().split()) - _HARMLESS_TEXTS) | _RESERVED
        self._allowed: set[bytes] = set()

    def check_settings(self, settings: Mapping[str, str]) -> None:
        for name in self._settings & settings.keys():
            raise QueryError(READONLY, f"Cannot modify '{name}' setting in readonly mode")

    def check(self, connection: Connection, sql: bytes, kind: str) -> None:
        """Raises READONLY unless `sql`, of `kind` to the engine's classifier, only reads the engine's tables."""
        if sql in self._allowed:
            return
        written = _written_anew(connection, sql)
        if kind != "READ_ONLY":
            raise QueryError(READONLY, "Cannot execute query in readonly mode")
        found = list(tokens(written))
        for token, following in itertools.pairwise(found):
            name = token.value.strip(b'`"').lower() if token.kind in ("word", "name") else b""
            if following.value == b"(" and name in self._functions:
                raise QueryError(READONLY, f"{name.decode()}() is not for accounts that may only read")
        if found[0].is_word(b"EXISTS") and any(token.kind != "word" and token.value != b"." for token in found):
            raise QueryError(READONLY, "EXISTS with a quoted name is not for accounts that may only read")
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
        raise QueryError(SYNTAX_ERROR, "Syntax error: Empty query")
    return written
