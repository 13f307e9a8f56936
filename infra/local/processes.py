"""A background process that outlives its starter, and is found again by its pid file.

A pid alone names nobody: the kernel hands it out again. So the pid file also keeps the moment at which the
kernel started the process (with the boot it belongs to), and a process is ours only if both agree; nothing
else is ever reported as running or sent a signal.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.errors import RollcallError
from infra.waiting import wait_until

# Kept so that a starter which lives on (a test run) reaps what ended instead of seeing a zombie.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Identity:
    """A process as the kernel knows it: `started` is opaque, and differs for any two processes of one pid."""

    pid: int
    started: str


@dataclass(frozen=True)
class BackgroundProcess:
    """One service: where its pid is noted, where its output goes, where it works (absolute paths)."""

    name: str
    pid_file: Path
    log_file: Path
    folder: Path

    def running(self) -> int | None:
        """The pid, if the process that the pid file names is alive and surely ours."""
        for child in _children:
            child.poll()
        noted = parse_pid_file(self.pid_file)
        return noted.pid if noted is not None and identify(noted.pid) == noted else None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Starts `command` in a session of its own and notes its pid; the last run's log becomes `….log.1`.

        The caller holds the lock and has seen that nothing runs. Raises RollcallError when it cannot start.
        """
        for folder in (self.folder, self.pid_file.parent, self.log_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.log_file.replace(self.log_file.with_name(self.log_file.name + ".1"))
        with self.log_file.open("wb") as log:
            try:
                child = subprocess.Popen(
                    list(command), env=dict(environment), cwd=self.folder, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                )
            except OSError as error:
                raise RollcallError(f"{self.name} cannot be started: {command[0]}: {error.strerror}") from None
        _children.append(child)
        identity = identify(child.pid)
        if identity is not None:  # else it has already ended, and the caller sees that
            draft = self.pid_file.with_name(self.pid_file.name + ".draft")
            draft.write_text(json.dumps({"pid": identity.pid, "started": identity.started}))
            draft.replace(self.pid_file)
        return child.pid

    def stop(self, seconds: float) -> bool:
        """Ends the process: SIGTERM, and SIGKILL when it still runs after `seconds`; False: none was running."""
        noted = parse_pid_file(self.pid_file)
        if noted is None or not _send(noted, signal.SIGTERM):
            self.pid_file.unlink(missing_ok=True)
            return False
        if not wait_until(lambda: self.running() is None, seconds):
            _send(noted, signal.SIGKILL)
            if not wait_until(lambda: self.running() is None, 10.0):
                raise RollcallError(
                    f"{self.name} (pid {noted.pid}) survives SIGKILL: the kernel holds it, most often in a "
                    "stuck disk; nothing but the machine's restart ends it"
                )
        self.pid_file.unlink(missing_ok=True)
        return True

    def tail(self, lines: int = 12) -> str:
        """The last lines that this run wrote, for an error message; empty when there are none."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 200 * lines))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.rstrip().splitlines()[-lines:])


def parse_pid_file(file: Path) -> Identity | None:
    """Whom the file names; None when there is no file, or one that a crash left half written."""
    try:
        noted = json.loads(file.read_text())
        return Identity(int(noted["pid"]), str(noted["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def identify(pid: int) -> Identity | None:
    """The live process of this pid; None when there is none, or when it has ended and nobody has reaped it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _identify_by_ps(pid)
    return parse_stat(pid, stat, Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def parse_stat(pid: int, stat: str, boot: str) -> Identity | None:
    """`/proc/PID/stat` as proc(5) has it: state is field 3, threads 20, start (ticks since boot) 22."""
    # The name, field 2, may itself hold blanks and brackets: count from the last bracket on.
    fields = stat[stat.rindex(")") + 2 :].split()
    # A killed server is a zombie while its threads still end, and until the last has gone it holds its port.
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if ended else Identity(pid, f"{boot}/{fields[19]}")


def _identify_by_ps(pid: int) -> Identity | None:
    shown = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else Identity(pid, shown[1].strip())


def _send(identity: Identity, number: signal.Signals) -> bool:
    """Sends a signal to exactly this process; False when it is gone."""
    try:
        if not hasattr(os, "pidfd_open"):
            if identify(identity.pid) != identity:
                return False
            os.kill(identity.pid, number)
            return True
        # The descriptor pins the process: the pid cannot pass to another between the look and the signal.
        pinned = os.pidfd_open(identity.pid)
        try:
            if identify(identity.pid) != identity:
                return False
            signal.pidfd_send_signal(pinned, number)
            return True
        finally:
            os.close(pinned)
    except ProcessLookupError:
        return False


@contextmanager
def exclusive(file: Path, seconds: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the lock file, so that two commands at once do one thing after the other.

    `waiting` is called once if another holds it. Raises RollcallError after `seconds`. The kernel frees the
    lock when its holder ends, however it ends.
    """

    def taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with file.open("a") as lock:
        if not taken():
            waiting()
            if not wait_until(taken, seconds):
                raise RollcallError(
                    f"another `rollcall up` or `down` has held {file} for {seconds:.0f} s: wait for it, or end it"
                )
        yield
