"""Real servers of brokers' databases, from the distribution's packages, on loopback; not had where they are not."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.ports import LOOPBACK, free_port
from infra.waiting import wait_until
from producers.polling.database import engine_of

USERS = ("postgres", "mysql", "nobody")


class NotHad(Exception):
    """The server is not on this machine; the sentence says which."""


@contextmanager
def postgresql() -> Iterator[str]:
    """A URL of an empty database. Raises NotHad."""
    programs = _programs("initdb", "postgres", places=sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    with _folder() as (folder, user):
        port, data = free_port(), folder / "data"
        subprocess.run(
            [programs["initdb"], "-D", data, "-U", "broker", "-A", "trust", "-E", "UTF8", "--no-sync"], user=user,
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        settings = ("-F", "-h", LOOPBACK, "-p", str(port), "-k", str(folder), "-c", "timezone=Asia/Tokyo")
        url = f"postgresql+pg8000://broker@{LOOPBACK}:{port}/postgres"
        command = [str(programs["postgres"]), "-D", str(data), *settings]
        with _running(command, url, folder, user, signal.SIGINT):  # it does not wait for its clients then
            yield url


@contextmanager
def mariadb() -> Iterator[str]:
    """A URL of an empty database. Raises NotHad."""
    programs = _programs("mariadb-install-db", "mariadbd", places=[Path("/usr/sbin")])
    with _folder() as (folder, user):
        port, data = free_port(), folder / "data"
        subprocess.run(
            [programs["mariadb-install-db"], "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"], user=user, check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        command = [
            str(programs["mariadbd"]), "--no-defaults", f"--datadir={data}", f"--port={port}", "--skip-name-resolve",
            f"--bind-address={LOOPBACK}", f"--socket={folder}/socket", "--innodb-flush-log-at-trx-commit=0",
        ]  # fmt: skip
        with _running(command, f"mariadb+pymysql://root@{LOOPBACK}:{port}/mysql", folder, user):
            yield f"mariadb+pymysql://root@{LOOPBACK}:{port}/mysql"


def _programs(*names: str, places: list[Path]) -> dict[str, Path]:
    path = os.pathsep.join([*map(str, places), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in names}
    if missing := [name for name, place in found.items() if place is None]:
        raise NotHad(f"{' and '.join(missing)}: not on this machine (the distribution's package has it)")
    return {name: Path(place or "") for name, place in found.items()}


@contextmanager
def _folder() -> Iterator[tuple[Path, str | None]]:
    """A folder, and the user who may not be root, since these servers refuse that."""
    user = None
    with tempfile.TemporaryDirectory(prefix="broker-", dir="/tmp") as name:
        if os.getuid() == 0:
            known = {entry.pw_name for entry in pwd.getpwall()}
            user = next(each for each in USERS if each in known)
            os.chown(name, pwd.getpwnam(user).pw_uid, -1)
        yield Path(name), user


@contextmanager
def _running(
    command: list[str], url: str, folder: Path, user: str | None, end: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder)
    try:
        up = wait_until(lambda: server.poll() is None and _answers(url), 60.0, pause=0.2)
        assert up, (folder / "log").read_text()
        yield
    finally:
        server.send_signal(end)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(url: str) -> bool:
    try:
        with engine_of(url).connect():
            return True
    except Exception:
        return False
