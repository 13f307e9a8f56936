"""The provider's brokers at work: services, databases, files and a catalogue, and how each is read by `rollcall`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine

from infra.local.ports import LOOPBACK, free_port
from tests.broker_database import guacamole_tables, horizon_tables
from tests.log_analytics_server import LogAnalyticsServer
from tests.monitor_server import MonitorServer
from tests.sources import brokers
from tests.sources.people import BROKERS, DESK, INSTANCES, OCTOBER, REGULAR, A, B, Login, TwoMonths

READ = {"/citrix/1": "citrix", "/avd/1": "avd", "/horizon/1": "horizon", "/guacamole/1": "guacamole"}
PUSHED = {"/workspaces/1": "workspaces", "/secure-browser/1": "secure-browser", "/windows/1": "windows",
          "/sshd/1": "sshd", "/vpn/1": "map"}  # fmt: skip
WRITE: dict[str, Callable[[Sequence[Login]], str]] = {
    "workspaces": brokers.workspaces, "secure-browser": brokers.secure_browser, "windows": brokers.windows,
    "sshd": brokers.sshd, "map": brokers.vpn,
}  # fmt: skip


class Provider:
    """All brokers, empty at first. `tell` gives them what happened in a month, the late part of it or the rest."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.months, self.folder = TwoMonths(seed), folder
        self.monitor, self.azure, self.syslog_port = MonitorServer(page=25), LogAnalyticsServer(), free_port()
        self.databases = {name: f"sqlite:///{folder / name}.db" for name in ("horizon", "guacamole")}
        for name, tables in (("horizon", horizon_tables), ("guacamole", guacamole_tables)):
            with self._database(name) as broker:
                tables(broker)

    def tell(self, month: date, *, late: bool) -> None:
        """To what is polled."""

        def of(source: str) -> list[Login]:
            return [login for login in self.months.of(source, month) if login.late == late]

        self.monitor.sessions += map(brokers.citrix, of("/citrix/1"))
        self.azure.rows += map(brokers.avd, of("/avd/1"))
        for name, row in (("horizon", brokers.horizon_row), ("guacamole", brokers.guacamole_row)):
            with self._database(name) as broker:
                for login in of(f"/{name}/1"):
                    row(broker, login)

    def pushes(self, month: date) -> Iterator[list[str]]:
        """`rollcall push` and what follows it: of each source two files that overlap, and the first of them again."""
        for source, kind in PUSHED.items():
            logins = self.months.of(source, month)
            some = logins[: len(logins) * 2 // 3], logins[len(logins) // 3:]
            files = [self._file(f"{kind}-{month}-{n}", WRITE[kind](each)) for n, each in enumerate(some)]
            yield [*files, files[0], *self._options(source, logins)]
        for day, states in self.months.instances[month].items():
            yield [self._file(f"adc-{day}.csv", brokers.instances(states)), "--format", "instances",
                   "--date", str(day), "--source", INSTANCES,
                   "--columns", "instance=Name,product=Type,state=State"]  # fmt: skip

    def send_syslog(self, month: date, port: int) -> None:
        """Every third line twice."""
        with socket.create_connection((LOOPBACK, port)) as sender:
            for login in self.months.of("/horizon/2", month):
                sender.sendall(brokers.horizon_syslog(login) * (1 + (login.number % 3 == 0)))

    def batches(self, month: date) -> Iterator[list[dict[str, Any]]]:
        """Of the gateway's sender; each half of the month and, again, its middle."""
        events = [brokers.portal(login) for login in self.months.of("/portal/1", month)]
        half = len(events) // 2
        yield from (events[:half], events[half:], events[half // 2: half + half // 2])

    @property
    def catalogue(self) -> str:
        """JSON, which is YAML."""
        rhythm = {"silent_after": "12h", "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "20:00",
                  "zone": "Asia/Tokyo"}  # fmt: skip
        kinds = READ | PUSHED | {"/horizon/2": "syslog", "/portal/1": "push", INSTANCES: "push", "/gateway": "gateway"}
        return json.dumps({
            "programmes": {"csp": {"time_zone": "Asia/Tokyo", "instances": {"states": ["Up"]}}},
            "tenants": [
                {"id": each, "name": each, "domains": [f"{each}.example"], "alias_policy": {"identities": "apply"}}
                for each in (A, B)
            ],
            "skus": [
                {"id": sku, "name": sku, "programme": "csp", "family": sku, "deployment": "cloud", "unit": unit}
                for sku, unit in (("DAAS", "user"), ("VDI", "user"), ("ADC", "instance"))
            ],
            "products": [
                {"source": source, "product": product, "sku": sku} | owner(broker.tenants)
                for source, broker in BROKERS.items() for product, sku in broker.products.items()
            ] + [{"source": INSTANCES, "product": "VPX", "sku": "ADC", "tenant": A}],
            "agreements": [{
                "id": "jp", "programme": "csp", "partner": {"name": "P"}, "distributor": {"name": "D"},
                "contract_date": "2026-01-01", "silent_sources": "block",
            }],
            "sources": [
                {"source": source, "kind": kind} | self._read(source)
                | ({"rhythm": rhythm} if source in REGULAR else {})
                for source, kind in kinds.items()
            ],
            "aliases": list(self._aliases()),
        })  # fmt: skip

    def _read(self, source: str) -> dict[str, Any]:
        since: dict[str, Any] = {"since": "2026-08-01"}
        login = since | {"client": "client", "secret": "env:KEY"}
        if source == "/citrix/1":
            return {"reads": self.monitor.base, "settings": login | {"customer": "acme", "trust": self.monitor.trust}}
        if source == "/avd/1":
            return {"reads": self.azure.base, "settings": login | {"directory": "directory", "trust": self.azure.trust}}
        if source == "/horizon/1":
            return {"reads": self.databases["horizon"], "settings": since | {"zone": "Asia/Tokyo", "prefix": "h_"}}
        if source == "/guacamole/1":
            return {"reads": self.databases["guacamole"], "settings": since | {"zone": brokers.NEW_YORK.key}}
        return {"reads": f"tcp://{LOOPBACK}:{self.syslog_port}"} if source == "/horizon/2" else {}

    def _aliases(self) -> Iterator[dict[str, Any]]:
        """Of those whom Citrix shows the bare name only, which it does not know."""
        for person in self.months.people:
            names = person.names
            same = [names["bare"], names["upn"]] if person.shown else [name.upper() for name in names.values()]
            yield {"tenant": person.tenant, "same": same, "reason": "directory"}
        for month, person in self.months.at_the_desk.items():
            bounds = {"from_month": "2026-10"} if month == OCTOBER else {"to_month": "2026-10"}
            yield {"tenant": person.tenant, "same": [DESK, person.names["upn"]], "reason": "handed over", **bounds}

    def _options(self, source: str, logins: Sequence[Login]) -> list[str]:
        kind = PUSHED[source]
        if kind == "map":
            return ["--map", self._file("vpn.yaml", brokers.VPN_MAP)]
        extra = []
        if kind == "workspaces":
            inventory = self._file("inventory.csv", brokers.inventory(logins))
            extra = ["--inventory", inventory, "--policy", "domain=CORP-A"]
        return ["--format", kind, "--source", source, *extra]

    def _file(self, name: str, text: str) -> str:
        file = self.folder / name
        file.write_text(text, "utf-8")
        return str(file)

    @contextmanager
    def _database(self, name: str) -> Iterator[Connection]:
        engine = create_engine(self.databases[name])
        with engine.begin() as broker:
            yield broker
        engine.dispose()


def owner(tenants: tuple[str, ...]) -> dict[str, str]:
    """Of a source of one tenant; else the user's domain, or the event, says whose a login is."""
    return {"tenant": tenants[0]} if len(tenants) == 1 else {}
