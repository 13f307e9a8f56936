"""The main job in front of the reader: `make demo`.

Real logins (two public data sets) and three simulated session brokers go through Kafka, the dedup job and the
ClickHouse engine of a local stack of its own; months are closed; every count is held against the known truth.
The commands are the ones that a user types.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from examples.brokers import last_month_and_this, ndjson, simulate
from infra.clickhouse.client import connect
from infra.local.ports import free_port
from schemas.settings import load_settings

HERE = Path(__file__).parent
HOME = Path(".rollcall") / "demo"
IRC, SSH = HERE / "data" / "irc_ubuntu_activity", HERE / "data" / "ssh_authlog"
Counts = dict[tuple[str, str, str], int]
"""(month, tenant, SKU) -> active users."""

console = Console(highlight=False)


def main() -> int:
    begun = time.monotonic()
    now = datetime.now(UTC)
    brokers = simulate(1, last_month_and_this(now), now)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    (HOME / "catalogue.yaml").write_text(_catalogue(brokers.catalogue), "utf-8")
    with (HOME / "brokers.ndjson").open("wb") as file:
        file.writelines(ndjson(brokers.events))
    _choose_ports()

    _say("A log and a store: Apache Kafka and the ClickHouse engine, from packages, on loopback only.")
    try:
        rollcall("up")
        rollcall("migrate")
        _say("A worker counts in the background while logins arrive: two real data sets, then three simulated brokers.")
        with worker():
            rollcall(
                "push", str(IRC / "events.csv.gz"), "--format", "csv", "--columns",
                "id=event_id,time=timestamp,subject=user", "--source", "/irc/ubuntu",
                "--tenant", "ubuntu-channel", "--sku", "IRC-CHANNEL",
            )  # fmt: skip
            rollcall(
                "push", str(SSH / "auth.log.gz"), "--format", "sshd", "--source", "/sshd/ip-10-77-20-248",
                "--year", "2017", "--zone", "UTC",
            )  # fmt: skip
            rollcall("push", str(HOME / "brokers.ndjson"))
            _say("The same file once more: nothing may be counted twice.")
            rollcall("push", str(HOME / "brokers.ndjson"))
            last_month = f"{last_month_and_this(now)[0]:%Y-%m}"
            _say(f"The month {last_month} is closed: all that Kafka acknowledged before is in the seal.")
            rollcall("close", last_month)
            rollcall("close", "2008-05")
        rollcall("verify", last_month)
        _say("Every count against the truth.")
        truth = {cell: len(subjects) for cell, subjects in brokers.truth.items()}
        right = _compare(truth | dict(_irc_truth()) | dict(_ssh_truth()))
    finally:
        rollcall("down")
    seconds = time.monotonic() - begun
    _say(f"{'Every count is exact' if right else 'COUNTS DIFFER'}. It took {seconds:.0f} s. The data is in {HOME}.")
    return 0 if right else 1


def rollcall(*arguments: str) -> None:
    """One command, shown as it is typed."""
    console.print(f"\n[bold]$ rollcall {' '.join(arguments)}[/bold]")
    done = subprocess.run([sys.executable, "-m", "console.main", *arguments], check=False)
    if done.returncode:
        raise SystemExit(f"rollcall {arguments[0]} ended with exit code {done.returncode}")


@contextmanager
def worker() -> Iterator[None]:
    """`rollcall worker` in the background, ended by SIGTERM."""
    console.print("\n[bold]$ rollcall worker &[/bold]")
    with subprocess.Popen([sys.executable, "-m", "console.main", "worker"]) as process:
        try:
            yield
        finally:
            process.terminate()


def _say(sentence: str) -> None:
    console.print(f"\n[cyan]{sentence}[/cyan]")


def _choose_ports() -> None:
    """A stack of the demo's own, beside one that may be running."""
    kafka, clickhouse = free_port(), free_port()
    os.environ |= {
        "ROLLCALL_HOME": str(HOME),
        "ROLLCALL_CATALOGUE": str(HOME / "catalogue.yaml"),
        "ROLLCALL_LOCAL_KAFKA_PORT": str(kafka),
        "ROLLCALL_LOCAL_CLICKHOUSE_PORT": str(clickhouse),
        "ROLLCALL_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka}",
        "ROLLCALL_CLICKHOUSE_URL": f"http://127.0.0.1:{clickhouse}",
    }


def _catalogue(brokers: str) -> str:
    """The three examples' catalogues as one."""
    texts = [brokers, *(file.read_text("utf-8") for file in sorted((HERE / "catalogues").glob("*.yaml")))]
    parts = [yaml.safe_load(text) for text in texts]
    lists = {name: [x for part in parts for x in part.get(name, [])] for name in ("tenants", "skus", "products")}
    programmes = {name: programme for part in parts for name, programme in part["programmes"].items()}
    return yaml.safe_dump({"programmes": programmes, **lists}, sort_keys=False, allow_unicode=True)


def _irc_truth() -> Iterator[tuple[tuple[str, str, str], int]]:
    for month in json.loads((IRC / "ground_truth.json").read_text())["per_month"]:
        yield (month["month"], "ubuntu-channel", "IRC-CHANNEL"), month["users_casefold"]


def _ssh_truth() -> Iterator[tuple[tuple[str, str, str], int]]:
    for cell in json.loads((SSH / "ground_truth.json").read_text())["per_month_sku"]:
        yield (cell["month"], "web-team", f"SSH-{cell['sku'].upper()}"), cell["users_casefold"]


def _compare(truth: Counts) -> bool:
    """Both ways: a cell that is missing, and one that is too many, are as wrong as a wrong number."""
    with connect(load_settings()) as client:
        rows = client.query("SELECT month, tenant, sku, active_users FROM active_users_by_month").result_rows
    counted = {(f"{month:%Y-%m}", tenant, sku): users for month, tenant, sku, users in rows}
    table = Table("tenant", "sku", "months", "users, all months", "truth", "differ", title_justify="left")
    for tenant, sku in sorted({(tenant, sku) for _, tenant, sku in truth | counted}):
        cells = {cell for cell in truth | counted if cell[1:] == (tenant, sku)}
        table.add_row(
            tenant, sku, str(len(cells)), f"{sum(counted.get(c, 0) for c in cells):,}",
            f"{sum(truth.get(c, 0) for c in cells):,}", str(sum(truth.get(c) != counted.get(c) for c in cells)),
        )  # fmt: skip
    console.print(table)
    return truth == counted


if __name__ == "__main__":
    sys.exit(main())
