"""Sessions: connections that keep their SETs, USE and temporary tables between requests.

clickhouse-connect gives every client a session, used or not. So a session costs nothing until a statement
leaves something behind (SET, USE, CREATE TEMPORARY TABLE); until then its requests get fresh connections like
all others. From then on it holds its connection until it expires. As on a server, one request at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.local.engine.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, QueryError
from infra.local.engine.pool import Connection, Engine, literal
from infra.local.engine.request import SessionRef


@dataclass
class _Session:
    expires: float
    busy: bool = False
    connection: Connection | None = None


@dataclass
class Lease:
    """A connection for one request; given back by `end`, once."""

    connection: Connection
    end: Callable[[], None]
    session: _Session | None = None
    held: bool = False  # a stream still reads it, and will call `end`
    undo: list[bytes] = field(default_factory=list)

    def apply(self, settings: Mapping[str, str]) -> None:
        """Sets what holds for this request alone."""
        if self.session is not None and self.session.connection is not None:
            self.undo += _undo(self.connection, settings)
        self.connection.set(settings)

    def keep(self, settings: Mapping[str, str]) -> None:
        """The session holds this connection from now on, on top of `settings`."""
        if self.session is not None and self.session.connection is None:
            self.connection.set(settings)
            self.session.connection = self.connection


class Sessions:
    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], _Session] = {}

    @contextmanager
    def lease(self, ref: SessionRef | None, user: str) -> Iterator[Lease]:
        session = self._begin(ref, user) if ref is not None else None
        try:
            connection = (session.connection if session is not None else None) or self._engine.connect()
        except BaseException:
            if session is not None:
                session.busy = False
            raise
        ended = threading.Event()

        def end() -> None:
            if not ended.is_set():
                ended.set()
                self._end(lease, ref, user)

        lease = Lease(connection, end, session)
        try:
            yield lease
        finally:
            if not lease.held:
                end()

    def expire(self) -> None:
        """Closes the sessions whose time is over."""
        with self._lock:
            now = self._clock()
            for key in [key for key, session in self._sessions.items() if session.expires < now and not session.busy]:
                self._drop(key)

    def _begin(self, ref: SessionRef, user: str) -> _Session:
        self.expire()
        with self._lock:
            session = self._sessions.get((user, ref.id))
            if session is None:
                if ref.must_exist:
                    raise QueryError(SESSION_NOT_FOUND, f"Session {ref.id} not found")
                session = self._sessions[user, ref.id] = _Session(self._clock())
            if session.busy:
                raise QueryError(SESSION_IS_LOCKED, f"Session {ref.id} is locked by a concurrent client")
            session.busy = True
            return session

    def _end(self, lease: Lease, ref: SessionRef | None, user: str) -> None:
        session = lease.session
        if session is None or ref is None:
            lease.connection.close()
            return
        try:
            if session.connection is None:
                lease.connection.close()
            for statement in lease.undo if session.connection is not None else ():
                lease.connection.query(statement)
        except QueryError:
            session.connection = None  # not as its owner left it: rather none than a wrong one
            lease.connection.close()
        finally:
            with self._lock:
                session.busy = False
                session.expires = self._clock() + ref.seconds
                if ref.close:
                    self._drop((user, ref.id))

    def _drop(self, key: tuple[str, str]) -> None:
        session = self._sessions.pop(key)
        if session.connection is not None:
            session.connection.close()


def _undo(connection: Connection, settings: Mapping[str, str]) -> list[bytes]:
    """Statements that give a session its own settings back."""
    names = b", ".join(literal(name.encode()) for name in settings)
    sql = b"SELECT name, changed, value FROM system.settings WHERE name IN (" + names + b") FORMAT TSVRaw"
    statements = []
    for line in connection.query(sql).data.splitlines():
        name, changed, value = line.split(b"\t", 2)
        statements.append(b"SET " + name + b"=" + (literal(value) if changed == b"1" else b"DEFAULT"))
    return statements
