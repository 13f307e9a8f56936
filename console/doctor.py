"""`rollcall doctor`: checks an installation, and says what to mend."""

from __future__ import annotations

from collections.abc import Iterator

from console.output import Format, show
from schemas.settings import SettingsError, load_settings
from stream_jobs.doctor.checks import checks, first_checks
from stream_jobs.doctor.finding import Finding, State, run


def doctor(*, format: Format = "table") -> int:
    """Check Python, packages, settings, Kafka, ClickHouse and the counting; say what to mend. Changes nothing.

    Exit code 1 when something must be mended.
    """
    found = list(_findings())
    show(format, ("check", "state", "says", "cure"), [(f.check, f.state.value, f.says, f.cure) for f in found])
    return 1 if any(f.state is State.mend for f in found) else 0


def _findings() -> Iterator[Finding]:
    yield from run(first_checks())
    try:
        settings = load_settings()
    except SettingsError as error:
        for line in str(error).split("\n"):
            yield Finding("settings", State.mend, line)
        yield Finding("everything else", State.untried, "it needs: settings")
        return
    yield Finding("settings", State.ok, "no faults; `rollcall settings` lists them")
    yield from run(checks(settings))
