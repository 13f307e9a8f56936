"""Which Rollcall this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The installed version; `unknown` when it runs from a folder that was never installed."""
    try:
        return version("rollcall")
    except PackageNotFoundError:
        return "unknown"
