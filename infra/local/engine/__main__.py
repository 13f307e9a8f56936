"""`python -m infra.local.engine --data DIR --port N --accounts FILE`: the engine until SIGTERM.

Exit codes: 0 ended by a signal, 2 wrong arguments or accounts, 3 port or data folder taken.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import uvicorn

from infra.local.engine import accounts
from infra.local.engine.errors import QueryError
from infra.local.engine.execute import Executor
from infra.local.engine.guard import Guard
from infra.local.engine.pool import Engine
from infra.local.engine.server import App
from infra.local.engine.sessions import Sessions

_GRACE_SECONDS = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="infra.local.engine", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder; made when missing")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--accounts", type=Path, required=True, help="JSON file of users")
    parser.add_argument("--max-memory-gb", type=float, default=6.0, help="memory of all queries together")
    parser.add_argument("--threads", type=int, default=16, help="queries that run at once; others wait")
    arguments = parser.parse_args()
    try:
        users = accounts.load(arguments.accounts)
    except accounts.AccountsError as error:
        return _refuse(2, str(error))
    data: Path = arguments.data.resolve()
    try:
        temporary = data / "bodies"
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _lock(data)
    except OSError as error:
        return _refuse(3, f"data folder {data} cannot be written: {error.strerror}")
    if isinstance(lock, str):
        return _refuse(3, f"data folder {data} is in use by process {lock}")
    # asyncio sends at once (TCP_NODELAY) only on sockets that name their protocol: else an answer's body waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", arguments.port))
    except OSError as error:
        return _refuse(3, f"port {arguments.port} of 127.0.0.1 cannot be taken: {error.strerror}; choose another")
    try:
        engine = Engine(data / "clickhouse", int(arguments.max_memory_gb * 1e9))
    except QueryError as error:
        return _refuse(3, f"the engine does not open data folder {data}: {error}")
    executor = Executor(engine, Sessions(engine), Guard(engine))
    config = uvicorn.Config(
        App(executor, users, temporary, arguments.threads), http="httptools", lifespan="off", ws="none",
        access_log=False, log_level="critical", server_header=False, timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip
    server = _Server(config)
    signal.signal(signal.SIGTERM, lambda *_: _end(server, engine))
    signal.signal(signal.SIGINT, lambda *_: _end(server, engine))
    server.run(sockets=[listener])
    closed = threading.Thread(target=engine.close, daemon=True)
    closed.start()
    closed.join(_GRACE_SECONDS)
    sys.stderr.flush()
    os._exit(0)  # a query that does not heed its kill must not hold the process


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # main() has its own, and an ordered end is exit code 0


def _end(server: uvicorn.Server, engine: Engine) -> None:
    """Ends the server: idle connections now, running queries after a grace by force."""
    server.should_exit = True
    killer = threading.Timer(_GRACE_SECONDS / 2, engine.kill)
    killer.daemon = True
    killer.start()


def _lock(data: Path) -> IO[str] | str:
    """The lock on `data`, held as long as the file is open; or the id of the process that holds it."""
    file = (data / "pid").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return file.read().strip() or "?"
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _refuse(code: int, sentence: str) -> int:
    print(f"engine: {sentence}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
