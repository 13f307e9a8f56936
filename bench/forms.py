"""How long a report of 200 tenants takes as a file, and with how much memory: `python -m bench.forms`.

Each file is made in a process of its own, as a command makes it: the time is that of making it, without the start of
Python, but with the loading of what the format needs. CPU time tells more than the clock where others use the machine.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from schemas.agreement import Party
from schemas.report import Due, Line, Report, SealCited, Standing
from stream_jobs.month_close.forms.render import Format, render
from stream_jobs.month_close.report.totals import family_totals, sku_totals, total

ROOT = Path(__file__).parents[1]
FORM = ROOT / "examples/forms/order-form.xlsx"
FORMATS: tuple[Format, ...] = ("pdf", "xlsx", "form", "csv", "json")
SIZES = ((200, 1), (200, 40))
_MEGABYTE = 1 << 20


class Timing(NamedTuple):
    tenants: int
    skus: int
    format: str
    seconds: float
    cpu_seconds: float
    bytes: int
    peak_mb: float
    """Of the whole process, Python and libraries included."""


def report(tenants: int, skus: int) -> Report:
    """Every tenant with every SKU, names in Japanese and Latin; the same each time."""
    drawn = random.Random(0)
    lines = []
    for t in range(tenants):
        for s in range(skus):
            measured = drawn.randint(30, 2000)
            excluded, free = drawn.choice((0, 0, 0, 4)), drawn.choice((0, 0, 2))
            lines.append(
                Line(
                    tenant=f"customer-{t:03}", tenant_name=f"株式会社テナント{t} Customer {t} K.K.", sku=f"SKU-{s:02}",
                    sku_name=f"製品 Product {s}", family=f"Family {s % 8}", deployment="cloud" if s % 2 else "on-prem",
                    unit="user", tier="1", measured=measured, excluded=excluded, free=free,
                    reported=measured - excluded - free,
                )
            )  # fmt: skip
    return Report(
        agreement="bench", month=date(2026, 10, 1), revision=1, draft=1, programme="csp", time_zone="Asia/Tokyo",
        channel="CSP", partner=Party(name="Example Hosting K.K."), distributor=Party(name="Example Distribution K.K."),
        contract_date=date(2025, 4, 1), purchase_order="PO-1", language="ja",
        due=Due(day=date(2026, 11, 10), time_zone="Asia/Tokyo"),
        seal=SealCited(
            revision=1, close_number=1, digest="0" * 64, generation=1, catalogue_version=1, key_fingerprint=""
        ),
        lines=lines, skus=sku_totals(lines), families=family_totals(lines), total=total(lines),
    )  # fmt: skip


def measure() -> list[Timing]:
    found = []
    for tenants, skus in SIZES:
        for format in FORMATS:
            done = subprocess.run(
                [sys.executable, "-m", "bench.forms", str(tenants), str(skus), format],
                cwd=ROOT, check=True, capture_output=True, text=True,
            )  # fmt: skip
            found.append(Timing(*json.loads(done.stdout)))
    return found


def table(timings: list[Timing]) -> Table:
    shown = Table(
        "lines", "format", "s", "CPU s", "KB", "peak MB", title="A report of 200 tenants, as a file",
        title_justify="left",
    )  # fmt: skip
    for t in timings:
        shown.add_row(
            f"{t.tenants} × {t.skus}", t.format, f"{t.seconds:.2f}", f"{t.cpu_seconds:.2f}", f"{t.bytes / 1024:,.0f}",
            f"{t.peak_mb:.0f}",
        )  # fmt: skip
    return shown


def _one(tenants: int, skus: int, format: Format) -> Timing:
    made, standing, form = report(tenants, skus), Standing(state="draft"), FORM.read_bytes()
    clock, cpu = time.perf_counter(), time.process_time()
    content = render(made, format, "ja", standing, form)
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEGABYTE
    return Timing(tenants, skus, format, seconds, cpu, len(content), peak)


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        print(json.dumps(_one(int(arguments[0]), int(arguments[1]), arguments[2])))  # type: ignore[arg-type]
    else:
        Console().print(table(measure()))
