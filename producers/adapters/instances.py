"""Instances, for products counted by instance (CSP-23): an inventory of a day, each one an event of that day.

An instance that stands in any day's inventory of a month (or in its last day's, where the programme says so) was
active in that month. Its time is the day's beginning, in the zone of the programme that it is reported under; its id is
made of day and name, so a day read twice is one day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from urllib.parse import quote

from infra.errors import ConfigurationError
from producers.adapters.adapter import (
    AdapterOptions,
    NotALogin,
    Policies,
    Policy,
    Record,
    Seen,
    decided,
    needed,
    optional,
)
from producers.times import read_time
from schemas.quarantine import Refusal

POLICIES: Policies = {
    "active": Policy("states in which an instance is active, as running+standby; left out: all that are listed"),
    "days": Policy("of which days' inventories: of any of the month, or of its last", ("any", "last")),
}
COLUMNS = ("instance", "product", "sku", "tenant", "state", "date")
SOURCE = "/instances"
_CURE = "name its column with --columns, as instance=Name"


class InstancesAdapter:
    """`columns` say what the inventory calls each of COLUMNS; left out: the same."""

    def __init__(self, options: AdapterOptions) -> None:
        policy = decided(POLICIES, options.policy)
        if options.zone is None:
            raise ConfigurationError(
                "--zone: in which zone does the inventory's day begin? Give the programme's, or name the products in "
                "the catalogue"
            )
        if unknown := set(options.columns) - set(COLUMNS):
            raise ConfigurationError(
                f"--columns {', '.join(sorted(unknown))}: there is no such column here; there are {', '.join(COLUMNS)}"
            )
        self._zone, self._day, self._columns = options.zone, options.date, options.columns
        self._active = {state.strip().casefold() for state in policy["active"].split("+") if state.strip()}
        self._last_only = policy["days"] == "last"

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        row = _Named(record, self._columns)
        name = needed(row, "instance", _CURE)
        if self._active:
            state = needed(row, "state", "name its column with --columns, as state=PowerState")
            if state.casefold() not in self._active:
                yield NotALogin(f"its state is {state}")
                return
        day = self._of(optional(row, "date"))
        if self._last_only and (day + timedelta(days=1)).day != 1:
            yield NotALogin("its inventory is not of the month's last day")
            return
        yield Seen(
            id=f"{day}/{quote(name, safe='')}", time=read_time(f"{day} 00:00:00", self._zone), source=SOURCE,
            subject=name, product=optional(row, "product"), sku=optional(row, "sku"), tenant=optional(row, "tenant"),
        )  # fmt: skip

    def _of(self, written: str | None) -> date:
        if self._day is not None:
            return self._day
        if written is None:
            raise Refusal("missing_member", "date: of which day is the inventory? Give it with --date 2026-10-31")
        try:
            return date.fromisoformat(written[:10])
        except ValueError:
            raise Refusal("bad_time", f"date: {written[:40]!r} is no day; write it as 2026-10-31") from None


class _Named(Mapping[str, object]):
    """A record by our names of its columns."""

    def __init__(self, record: Record, columns: Mapping[str, str]) -> None:
        self._record, self._columns = record, columns

    def __getitem__(self, name: str) -> object:
        return self._record[self._columns.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)
