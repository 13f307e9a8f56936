"""Connections to the embedded engine. Each request gets one of its own, so nothing leaks into the next.

Opening one costs 0.2 ms, less than taking settings back would; `SET readonly` cannot be taken back at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra.local.engine.errors import NOT_ENOUGH_SPACE, NOT_IMPLEMENTED, QueryError, from_engine

# Where the embedded engine's defaults differ from a server's.
ROOM_BYTES = 64 << 20
"""What must be left on the data folder's disk for an insert."""
_LIKE_A_SERVER = {"implicit_select": "0", "allow_introspection_functions": "0"}


class Result:
    """The bytes of a result in its format, with what the engine counted."""

    def __init__(self, raw: Any) -> None:
        self.data: bytes = raw.bytes() if raw.size() else b""
        self.summary = {
            "read_rows": str(raw.storage_rows_read()),
            "read_bytes": str(raw.storage_bytes_read()),
            "written_rows": str(raw.rows_written()),
            "written_bytes": str(raw.bytes_written()),
            "total_rows_to_read": "0",
            "result_rows": str(raw.rows_read()),
            "result_bytes": str(raw.bytes_read()),
            "elapsed_ns": str(int(raw.elapsed() * 1e9)),
        }


class Blocks:
    """A result that is read block by block, each complete in its format. `close` cancels what is left of it."""

    def __init__(self, raw: Any, handle: Any) -> None:
        self._raw, self._handle = raw, handle
        self._ended = False

    def next(self) -> bytes:
        """The next block; b"" after the last one."""
        if self._ended:
            return b""
        try:
            block = self._raw.streaming_fetch_result(self._handle)
        except RuntimeError as error:
            self._ended = True
            raise from_engine(str(error)) from None
        data: bytes = block.bytes() if block is not None and block.size() else b""
        self._ended = not data
        return data

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._raw.streaming_cancel_query(self._handle)


class Connection:
    """One connection. Not for two threads at once; any thread may use it next."""

    def __init__(self, raw: Any, folder: str) -> None:
        self._raw, self._folder = raw, folder

    def close(self) -> None:
        self._raw.close()

    def set(self, settings: Mapping[str, str]) -> None:
        if settings:
            assignments = (name.encode() + b"=" + literal(value.encode()) for name, value in settings.items())
            self.query(b"SET " + b", ".join(assignments))

    def query(self, sql: str | bytes, format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Result:
        """The whole result. `params` are as in a URL: values escaped as in TabSeparated."""
        try:
            raw = self._raw.query(sql, format, params=dict(params or {}))
        except RuntimeError as error:
            raise from_engine(str(error)) from None
        if raw.has_error():
            raise from_engine(raw.error_message())
        return Result(raw)

    def stream(self, sql: str | bytes, format: str, params: Mapping[str, str]) -> Blocks:
        try:
            return Blocks(self._raw, self._raw.send_query(sql, format, params=dict(params)))
        except RuntimeError as error:
            raise from_engine(str(error)) from None

    def insert(self, head: str | bytes, format: str, chunks: Iterable[bytes]) -> Result:
        """Runs `head` (an INSERT without FORMAT) over the rows in `chunks`.

        Returns when the engine has acknowledged them; when `chunks` or the engine fails, nothing of the block
        that was being gathered is stored. Refused while the disk is nearly full, before and after: the embedded
        engine acknowledges rows that it had no room to write.
        """
        self._refuse_without_room()
        try:
            handle = self._raw.send_insert(head, format)
        except RuntimeError as error:
            text = str(error)
            raise (from_engine(text) if "Code:" in text else QueryError(NOT_IMPLEMENTED, text)) from None
        try:
            for chunk in chunks:
                self._raw.insert_append(handle, chunk)
            result = Result(self._raw.insert_done(handle))
        except RuntimeError as error:
            raise from_engine(str(error)) from None
        except BaseException:
            self._raw.insert_cancel(handle)
            raise
        self._refuse_without_room()
        return result

    def _refuse_without_room(self) -> None:
        room = os.statvfs(self._folder)
        free = room.f_bavail * room.f_frsize
        if free < ROOM_BYTES:
            raise QueryError(NOT_ENOUGH_SPACE, f"The data folder's disk has {free:,} bytes left, not enough space")

    def classify(self, sql: bytes) -> tuple[str, int]:
        """What a statement does (READ_ONLY, MUTATING…, CONTROL, UNKNOWN) and how many statements there are."""
        found = self._raw.classify_query(sql)
        return found["query_class"].name, int(found["statement_count"])


class Engine:
    """The engine on one data folder, until the process ends."""

    def __init__(self, data: Path, memory_bytes: int) -> None:
        """Raises `QueryError` when the engine cannot open `data`."""
        os.environ["TZ"] = "UTC"  # the engine takes its zone from here, when it is loaded
        import chdb

        _chdb: Any = chdb._chdb
        _chdb.set_signal_handlers_enabled(False)
        self._connect = _chdb.connect
        self._path = str(data)
        self._base = _LIKE_A_SERVER | {"max_memory_usage": str(memory_bytes)}
        try:
            self._root = self._connect(f"{self._path}?max_server_memory_usage={memory_bytes}")
        except RuntimeError as error:
            raise from_engine(str(error)) from None

    def connect(self) -> Connection:
        try:
            return Connection(self._connect(self._path), self._path)
        except RuntimeError as error:
            raise from_engine(str(error)) from None

    def base_settings(self) -> dict[str, str]:
        """What every request's settings start from."""
        return dict(self._base)

    def kill(self, mark: str | None = None) -> None:
        """Cancels the queries whose `log_comment` is `mark`; without one, all."""
        which = b"1" if mark is None else b"Settings['log_comment'] = " + literal(mark.encode())
        connection = self.connect()
        try:
            connection.query(b"KILL QUERY WHERE query_id != queryID() AND " + which + b" ASYNC")
        finally:
            connection.close()

    def close(self) -> None:
        self._root.close()


def literal(value: bytes) -> bytes:
    return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"
