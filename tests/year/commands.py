"""Commands of `rollcall`, hundreds of them, each in a process of its own that can be killed with -9.

A parent has loaded the code once and forks for each command, so that none pays for the loading. What runs in the fork
is `console.main.main` with its arguments and its environment, as the installed command does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

from holidays import country_holidays

from schemas.settings import Settings
from tests.integration.command import environment

KILLED = -signal.SIGKILL


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def line(self) -> dict[str, Any]:
        """The scheduler's line: the last one on standard output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class Commands:
    def __init__(self, settings: Settings, folder: Path, **changes: str) -> None:
        self._out, self._err = folder / "command.out", folder / "command.err"
        self._parent = subprocess.Popen(
            [sys.executable, "-c", "from tests.year.commands import serve; serve()", str(self._out), str(self._err)],
            env=environment(settings, **changes), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._parent.communicate(timeout=30)

    def run(self, *arguments: str, kill_after: float | None = None) -> Ran:
        """One command, to its end, or killed with -9 after so many seconds, wherever it is then."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([arguments, kill_after]) + "\n")
        self._parent.stdin.flush()
        code = int(self._parent.stdout.readline())
        return Ran(code, self._out.read_text("utf-8"), self._err.read_text("utf-8"))


def serve() -> None:
    """The parent's loop: a line with arguments and the seconds to live comes in, how it ended goes out."""
    import console.month_end
    import console.report  # noqa: F401  # loaded before the first fork
    from console.main import main

    country_holidays("US")  # a module that is loaded when it is first asked for

    for line in sys.stdin:
        arguments, kill_after = json.loads(line)
        if (child := os.fork()) == 0:
            _become(main, arguments, *sys.argv[1:])
        print(_ended(child, kill_after), flush=True)


def _become(main: Callable[[list[str]], None], arguments: list[str], out: str, err: str) -> NoReturn:
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 99
    try:
        main(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ended(child: int, kill_after: float | None) -> int:
    """The child's exit code. It is killed while nobody has reaped it: its number is nobody else's."""
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
