"""The `rollcall` command as a user runs it: a process of its own, settings in its environment."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple, cast

import pytest

from console.main import main
from schemas.settings import PREFIX, Settings


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The environment that makes `load_settings` give these settings; `changes` are variables to put on top."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return outside | _variables(settings.model_dump(mode="json", exclude_defaults=True)) | changes


def rollcall(settings: Settings, *arguments: str, stdin: bytes = b"", timeout: float = 120, **changes: str) -> Outcome:
    """One command, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "console.main", *arguments], env=environment(settings, **changes), input=stdin,
        capture_output=True, timeout=timeout, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def inside(settings: Settings, *arguments: str) -> Outcome:
    """The same in this process, which saves seconds of imports: for commands that neither stay nor read their input.

    Not for `worker`: its watchdog would end the tests' own process a minute later.
    """
    assert arguments[0] != "worker"
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment(settings).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out.flush()
        err.flush()
        code = ended.value.code
    said = [cast(io.BytesIO, stream.buffer).getvalue().decode() for stream in (out, err)]
    return Outcome(code if isinstance(code, int) else 0, *said)


def start(settings: Settings, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
    """A command in the background; its standard error is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "console.main", *arguments], env=environment(settings, **changes),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _variables(values: Mapping[str, object], prefix: str = PREFIX) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _variables(value, f"{prefix}{name.upper()}_")
        else:
            found[f"{prefix}{name.upper()}"] = str(value)
    return found
