"""Checks of ClickHouse: reachable, schema and views, key, catalogue, clock, room."""

from __future__ import annotations

import time
from collections.abc import Iterator
from string import Template

from clickhouse_connect.driver.client import Client

from infra import catalogue
from infra.clickhouse.client import connect, explained
from infra.clickhouse.migrate import check_schema, placeholders, read_ledger, views
from infra.errors import ConfigurationError
from infra.generation import in_force
from infra.kafka.topics import describe
from infra.keys import check_keys
from infra.secrets import pseudonym_keys
from schemas.settings import Settings
from stream_jobs.doctor.finding import Said, State
from stream_jobs.doctor.here import room

SKEW_SECONDS = 2.0
MIGRATE = "rollcall migrate"


class StoreChecks:
    """The checks that need ClickHouse; each asks over one client, made by the first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: Client | None = None

    @property
    def client(self) -> Client:
        if self._made is None:
            self._made = connect(self._settings)
        return self._made

    def server(self) -> Iterator[Said]:
        c = self._settings.clickhouse
        with connect(self._settings, database="default") as client, explained(c):
            [[version]] = client.query("SELECT version()").result_rows
            before = time.time()
            [[theirs]] = client.query("SELECT toUnixTimestamp64Milli(now64(3)) / 1000").result_rows
            after = time.time()
        yield State.ok, f"ClickHouse {version} answers at {c.url}"
        apart = max(before - theirs, theirs - after, 0.0)
        if apart > SKEW_SECONDS:
            cure = "set both clocks by NTP"
            yield State.mend, f"ClickHouse's clock and this machine's are {apart:.1f} s apart", cure

    def schema(self) -> Iterator[Said]:
        c = self._settings.clickhouse
        check_schema(self.client, c)
        with explained(c):
            generation = in_force(self.client)
            names, applied = placeholders(c, generation.table), read_ledger(self.client).views
            present = {row[0] for row in self.client.query("SHOW TABLES").result_rows}
        stale = [
            view.name for view in views()
            if view.name not in present
            or applied.get(view.name) != view._replace(text=Template(view.text).substitute(names)).sha256
        ]  # fmt: skip
        if stale:
            yield State.mend, f"views are missing or not this Rollcall's: {', '.join(stale)}", MIGRATE
        yield State.ok, f"database {c.database}: all migrations are applied; generation {generation.number}"

    def key(self) -> Iterator[Said]:
        keys = pseudonym_keys(self._settings)
        with explained(self._settings.clickhouse):
            check_keys(self.client, keys)
        yield State.ok, "the pseudonym key is the one that the data was written with"

    def catalogue(self) -> Iterator[Said]:
        path = self._settings.catalogue
        with explained(self._settings.clickhouse):
            versions = catalogue.stored_versions(self.client)
        if not versions:
            raise ConfigurationError(f"no catalogue is stored: `{MIGRATE}` stores {path}")
        newest = versions[-1]
        catalogue.checked(newest.yaml, f"catalogue version {newest.version}")
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            yield State.ok, f"version {newest.version} is stored; there is no file {path} here to compare"
            return
        if catalogue.digest(text) != newest.sha256:
            cure = f"rollcall catalogue apply {path}, or put the stored text back"
            yield State.mend, f"{path} is not the stored version {newest.version}", cure
        else:
            yield State.ok, f"{path} is the stored version {newest.version}"

    def places(self) -> Iterator[Said]:
        """What holds from each partition's start must be stored, or the worker refuses it."""
        facts = describe(self._settings)
        with explained(self._settings.clickhouse):
            rows = self.client.query(
                "SELECT partition FROM control_places WHERE topic_id = {t:String} GROUP BY partition"
                " HAVING uniqExact(kind) = 2", parameters={"t": facts.topic_id},
            ).result_rows  # fmt: skip
        if unknown := sorted(set(range(facts.partitions)) - {p for (p,) in rows}):
            yield State.mend, f"partitions {unknown} are not known to Rollcall: workers refuse them", MIGRATE
        else:
            yield State.ok, f"what holds from the start of all {facts.partitions} partitions is stored"

    def disks(self) -> Iterator[Said]:
        with explained(self._settings.clickhouse):
            rows = self.client.query("SELECT name, total_space, free_space FROM system.disks").result_rows
        for name, total, free in rows:
            if 0 < total < 1 << 60:  # object storage says that it has no end
                yield from room(f"ClickHouse's disk {name}", (total, total - free, free))
