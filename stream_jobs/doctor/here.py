"""Checks of this machine: Python, packages, folders and room on the disk."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from infra.version import own_version
from schemas.settings import Settings
from stream_jobs.doctor.finding import Said, State

LEAST_PYTHON = (3, 11)
LOW, VERY_LOW = 0.15, 0.05
"""Shares of a disk that are free."""

_PINNED = re.compile(r'([A-Za-z0-9._-]+)==([^; ]+)(?:.*extra == "([a-z]+)")?')
_FOR_USE = (None, "pipeline", "reports", "local")


def python() -> Iterator[Said]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        yield State.mend, f"Python is {found}", "install Python 3.11 or newer, then make the environment anew"
    else:
        yield State.ok, f"Python {found}, Rollcall {own_version()}"


def packages() -> Iterator[Said]:
    """Against what Rollcall was tested with. An extra of which nothing is installed is not wanted here."""
    try:
        pinned = requires("rollcall") or []
    except PackageNotFoundError:
        yield State.watch, "Rollcall is not installed as a package", "pip install '.[pipeline]' in its folder"
        return
    yield from compare(pinned, _installed)


def compare(pinned: Iterable[str], installed: Mapping[str, str] | _Installed) -> Iterator[Said]:
    """Findings for requirements as a package's metadata has them, and the versions that are there."""
    extras: dict[str | None, dict[str, str]] = {}
    for requirement in pinned:
        if match := _PINNED.match(requirement):
            extras.setdefault(match[3], {})[match[1]] = match[2]
    here = []
    for extra in _FOR_USE:
        wanted = extras.get(extra, {})
        found = {name: there for name in wanted if (there := installed.get(name)) is not None}
        if extra is not None and not found:
            continue
        here.append(extra or "base")
        for name, exact in wanted.items():
            if name not in found:
                yield State.mend, f"{name} {exact} is not installed ({extra or 'base'})", _sync()
            elif found[name] != exact:
                yield State.watch, f"{name} is {found[name]}; Rollcall was tested with {exact}", _sync()
    yield State.ok, f"installed: {', '.join(here)}"


def _sync() -> str:
    return "uv pip sync --require-hashes requirements.lock, or `make setup`"


class _Installed:
    def get(self, name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None


_installed = _Installed()


def home(settings: Settings) -> Iterator[Said]:
    folder = settings.home.resolve()
    at = folder if folder.is_dir() else next(parent for parent in folder.parents if parent.is_dir())
    if not os.access(at, os.W_OK | os.X_OK):
        cure = "run as its owner, or name another folder in ROLLCALL_HOME"
        yield State.mend, f"{at} cannot be written, where locks, rejects and reports are kept", cure
    yield from room("the disk of ROLLCALL_HOME", shutil.disk_usage(at))
    secrets = settings.secrets
    if secrets.is_dir() and (open_to_all := [p.name for p in (secrets, *secrets.iterdir()) if _readable_by_others(p)]):
        yield State.mend, f"others may read {', '.join(open_to_all)} in {secrets.parent}", f"chmod -R go= {secrets}"


def room(what: str, usage: tuple[int, int, int]) -> Iterator[Said]:
    """`usage` in bytes: total, used, free."""
    total, _, free = usage
    share = free / total if total else 1.0
    says = f"{what} has {free / 1e9:,.1f} GB free of {total / 1e9:,.1f} ({share:.0%})"
    if share < VERY_LOW:
        yield State.mend, says, "make room before it is full: a full disk stops the counting, though it loses nothing"
    else:
        yield (State.watch, says, "plan for more room") if share < LOW else (State.ok, says)


def _readable_by_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)
