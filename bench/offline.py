"""The parts that hold no peer and no stream: views, the close, report files."""

from __future__ import annotations

from collections.abc import Callable

from bench import close, forms, views
from bench.report import Section
from schemas.settings import Settings


def views_section(stack: Settings) -> Section:
    timings = views.measure(stack)
    rows = [[t.parts, t.view, t.where or "none", f"{t.median_ms:,.0f}", f"{t.rows:,}"] for t in timings]
    return Section(
        "Views, a million active users", ("parts", "view", "filter", "ms", "rows"), rows,
        figures=[t._asdict() for t in timings],
    )  # fmt: skip


def close_section(stack: Settings, rounds: int, tell: Callable[[str], None]) -> Section:
    timings = close.measure(stack, rounds=rounds, tell=tell)
    rows = [
        [
            t.step, f"{t.seconds:.2f}", f"{t.of_final:.2f}", "" if t.cpu_seconds is None else f"{t.cpu_seconds:.1f}",
            "" if t.memory_mb is None else f"{t.memory_mb:,.0f}",
        ]
        for t in timings
    ]  # fmt: skip
    columns = ("step", "seconds", "of FINAL", "engine's CPU s", "engine's memory, MB")
    return Section("Closing a month of 10 million", columns, rows, figures=[t._asdict() for t in timings])


def forms_section() -> Section:
    timings = forms.measure()
    rows = [
        [
            f"{t.tenants} × {t.skus}", t.format, f"{t.seconds:.2f}", f"{t.cpu_seconds:.2f}", f"{t.bytes / 1024:,.0f}",
            f"{t.peak_mb:.0f}",
        ]
        for t in timings
    ]  # fmt: skip
    columns = ("lines", "format", "s", "CPU s", "KB", "peak MB")
    return Section("A report of 200 tenants, as a file", columns, rows, figures=[t._asdict() for t in timings])
