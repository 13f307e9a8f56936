"""Sessions: a connection that keeps its SETs, USE and temporary tables between requests.

clickhouse-connect gives every client a session without needing one. So a session costs nothing until a
statement leaves something behind (SET, USE, CREATE TEMPORARY TABLE); until then its requests get fresh
connections like all others. From then on the session holds its connection until its time-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.local.engine.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, QueryError
from infra.local.engine.pool import Connection, Engine, quote

_MOST = 1_000


@dataclass
class _Session:
    expires: float
    busy: bool = False
    connection: Connection | None = None


@dataclass
class Lease:
    """A connection for one request."""

    connection: Connection
    session: _Session | None
    restore: list[str] = field(default_factory=list)
    streaming: bool = False
    _finish: Callable[[Lease], None] = lambda lease: None

    def apply(self, settings: Mapping[str, str]) -> None:
        """Sets what holds for this request alone."""
        if self.session is not None and self.session.connection is not None:
            settings = {n: v for n, v in settings.items() if n != "database" or v}
            self.restore = _inverse(self.connection, settings)
        self.connection.set(settings)

    def keep(self) -> None:
        """The session keeps this connection from now on."""
        if self.session is not None and self.session.connection is None:
            self.session.connection = self.connection

    def until_end(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """`blocks`, with the lease held until they end or are closed."""
        self.streaming = True
        return self._held(blocks)

    def _held(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from blocks
        finally:
            blocks.close()  # type: ignore[attr-defined]
            self._finish(self)


class Sessions:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], _Session] = {}

    @contextmanager
    def connection(self, engine: Engine, ref: object, user: str) -> Iterator[Lease]:
        session = self._begin(ref, user) if ref is not None else None
        held = session.connection if session is not None else None
        lease = Lease(held or engine.connect(), session)
        done = False

        def finish(_: Lease) -> None:
            nonlocal done
            if not done:
                done = True
                self._end(lease, ref, user)

        lease._finish = finish
        try:
            yield lease
        finally:
            if not lease.streaming:
                finish(lease)

    def _begin(self, ref: object, user: str) -> _Session:
        key = (user, ref.id)  # type: ignore[attr-defined]
        with self._lock:
            now = self._clock()
            for other in [k for k, s in self._sessions.items() if s.expires < now and not s.busy]:
                self._drop(other)
            session = self._sessions.get(key)
            if session is None:
                if ref.must_exist:  # type: ignore[attr-defined]
                    raise QueryError(SESSION_NOT_FOUND, f"Session {key[1]} not found")
                session = self._sessions[key] = _Session(now)
            if session.busy:
                raise QueryError(SESSION_IS_LOCKED, f"Session {key[1]} is locked by a concurrent client")
            session.busy = True
            return session

    def _end(self, lease: Lease, ref: object, user: str) -> None:
        session = lease.session
        if session is None or session.connection is None:
            lease.connection.close()
        else:
            for statement in lease.restore:
                lease.connection.query(statement)
        if session is not None:
            with self._lock:
                session.busy = False
                session.expires = self._clock() + ref.seconds  # type: ignore[attr-defined]
                if ref.close:  # type: ignore[attr-defined]
                    self._drop((user, ref.id))  # type: ignore[attr-defined]

    def _drop(self, key: tuple[str, str]) -> None:
        session = self._sessions.pop(key, None)
        if session is not None and session.connection is not None:
            session.connection.close()


def _inverse(connection: Connection, settings: Mapping[str, str]) -> list[str]:
    """Statements that give the session its own values back."""
    names = ", ".join(quote(name) for name in settings)
    sql = f"SELECT name, changed, value FROM system.settings WHERE name IN ({names}) FORMAT TSVRaw"
    statements = []
    for line in connection.query(sql).data.decode().splitlines():
        name, changed, value = line.split("\t", 2)
        statements.append(f"SET {name} = {quote(value) if changed == '1' else 'DEFAULT'}")
    return statements
