"""What must have been reported, by brute force: the rules read once more, in the slowest and plainest way.

Written from the issue and the domain's rules (CSP-n). It shares no code with what it judges: it reads the catalogue's
YAML as plain data, finds every login's day by itself, and counts sets of names. `zoneinfo` alone is common.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

Cell = tuple[str, str]


class Seen(NamedTuple):
    """A login, and the hour from which on it was known."""

    known: datetime
    time: datetime
    source: str
    subject: str
    tenant: str
    sku: str


class Quantities(NamedTuple):
    measured: int = 0
    excluded: int = 0
    trial: int = 0
    free: int = 0
    adjusted: int = 0
    shortfall: int = 0
    reported: int = 0


class Signed(NamedTuple):
    """An adjustment that a person signed."""

    tenant: str
    sku: str
    quantity: int


@dataclass(frozen=True)
class Expected:
    """One revision of a report. `lines` by tenant and SKU (a shortfall's tenant is empty), zeros left out."""

    agreement: str
    month: date
    revision: int
    due: date
    lines: dict[Cell, Quantities]
    skus: dict[str, Quantities]
    families: dict[tuple[str, str], Quantities]
    total: Quantities
    findings: set[tuple[str, str, str]]
    """(kind, family, id of the rule), of the kinds `family_minimum` and `zero_report`."""
    set_aside: dict[tuple[str, str], int]
    """(reason, source) to events."""
    differences: dict[Cell, tuple[int, int]] = field(default_factory=dict)


class Oracle:
    def __init__(self, catalogue: str, seen: Iterable[Seen]) -> None:
        self.catalogue: dict[str, Any] = yaml.safe_load(catalogue)
        self.seen = list(seen)
        self.agreements = {a["id"]: a for a in self.catalogue["agreements"]}
        self.skus = {s["id"]: s for s in self.catalogue["skus"]}

    def report(
        self, agreement: str, month: date, revision: int, known: datetime, signed: Sequence[Signed] = (),
        before: Expected | None = None,
    ) -> Expected:  # fmt: skip
        """The revision that was counted when everything up to `known` had arrived."""
        lines = self._lines(agreement, month, known, signed)
        findings: set[tuple[str, str, str]] = set()
        programme = self.agreements[agreement]["programme"]
        for rule in self._rules(programme, month, "family_minimum"):
            for family, users in self._cloud_families(lines).items():
                if 0 < users < rule["quantity"]:
                    findings.add(("family_minimum", family, rule["id"]))
                    if rule["action"] == "add_line":
                        missing = rule["quantity"] - users
                        lines["", self._largest(lines, family)] = Quantities(shortfall=missing, reported=missing)
        total = _sum(lines.values())
        if total.reported == 0:
            findings |= {("zero_report", "", rule["id"]) for rule in self._rules(programme, month, "zero_report")}
        skus, families = defaultdict(list), defaultdict(list)
        for (_, sku), line in lines.items():
            skus[sku].append(line)
            families[self.skus[sku]["family"], self.skus[sku]["deployment"]].append(line)
        return Expected(
            agreement, month, revision, self.due(programme, month), lines, {s: _sum(x) for s, x in skus.items()},
            {f: _sum(x) for f, x in families.items()}, total, findings, self._set_aside(month, known),
            _differences(before.lines, lines) if before else {},
        )  # fmt: skip

    # Who logged in

    def _lines(
        self, agreement: str, month: date, known: datetime, signed: Sequence[Signed]
    ) -> dict[Cell, Quantities]:
        days: dict[Cell, dict[str, set[date]]] = defaultdict(lambda: defaultdict(set))
        for login in self.seen:
            sku = self.skus.get(login.sku)
            if login.known > known or sku is None or not self._covered_by(agreement, login.tenant, sku["programme"]):
                continue
            day = self._day(login)
            if (day.year, day.month) == (month.year, month.month) and _within(sku, day):
                days[login.tenant, login.sku][_folded(login.subject)].add(day)
        lines = {}
        for cell in {*days, *((s.tenant, s.sku) for s in signed)}:
            kinds = [self._left_out(cell, name, on, month) for name, on in days[cell].items()]
            adjusted = sum(s.quantity for s in signed if (s.tenant, s.sku) == cell)
            out = {kind: kinds.count(kind) for kind in ("excluded", "free", "trial")}
            lines[cell] = Quantities(
                len(kinds), out["excluded"], out["trial"], out["free"], adjusted, 0, kinds.count("") + adjusted
            )
        return lines

    def _day(self, login: Seen) -> date:
        zone = self.catalogue["programmes"][self.skus[login.sku]["programme"]]["time_zone"]
        return login.time.astimezone(ZoneInfo(zone)).date()

    def _covered_by(self, agreement: str, tenant: str, programme: str) -> bool:
        own = self.agreements[agreement]
        if own["programme"] != programme:
            return False
        if own.get("tenants"):
            return tenant in own["tenants"]
        return not any(
            tenant in a.get("tenants", []) for a in self.agreements.values() if a["programme"] == programme
        )

    def _left_out(self, cell: Cell, name: str, days: set[date], month: date) -> str:
        """The kind by which a subject is not reported, or nothing: each of its days must be covered."""
        entries: list[tuple[str, Any]] = []
        for kind, part in (("excluded", "exclusions"), ("free", "free_users")):
            for entry in self.catalogue[part]:
                if entry["tenant"] == cell[0] and cell[1] in entry.get("skus", [cell[1]]) and _named(entry, name):
                    entries.append((kind, lambda day, entry=entry: _within(entry, day)))
        counted = [r["counted"] for r in self._rules(self.skus[cell[1]]["programme"], month, "trials")]
        for trial in self.catalogue["trials"]:
            if (trial["tenant"], trial["sku"]) == cell and counted == [False]:
                first = _date(trial["start"])
                last = first + timedelta(days=trial.get("days", 30) - 1)
                entries.append(("trial", lambda day, first=first, last=last: first <= day <= last))
        if not all(any(covers(day) for _, covers in entries) for day in days):
            return ""
        return next(kind for kind, covers in entries if any(covers(day) for day in days))

    # Rules

    def _rules(self, programme: str, month: date, kind: str) -> list[dict[str, Any]]:
        return [
            r for r in self.catalogue["rules"]
            if r["kind"] == kind and r.get("programme", programme) == programme and _within(r, month)
        ]  # fmt: skip

    def _cloud_families(self, lines: dict[Cell, Quantities]) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for (_, sku), line in lines.items():
            if self.skus[sku]["deployment"] == "cloud":
                found[self.skus[sku]["family"]] += line.reported
        return found

    def _largest(self, lines: dict[Cell, Quantities], family: str) -> str:
        """The family's cloud SKU that most is reported of; of equals the first by id."""
        sums: dict[str, int] = defaultdict(int)
        for (_, sku), line in lines.items():
            if self.skus[sku]["family"] == family and self.skus[sku]["deployment"] == "cloud":
                sums[sku] += line.reported
        return min(sums, key=lambda sku: (-sums[sku], sku))

    def due(self, programme: str, month: date) -> date:
        [rule] = self._rules(programme, month, "due_day")
        year, following = (month.year, month.month + 1) if month.month < 12 else (month.year + 1, 1)
        day = date(year, following, rule["day"])
        free = HOLIDAYS if rule.get("holidays") == "US" else ()
        step = {"as-is": 0, "before": -1, "after": 1}[rule.get("weekend", "as-is")]
        while step and (day.isoweekday() > 5 or day in free):
            day += timedelta(days=step)
        return day

    def late_from(self, agreement: str, month: date) -> datetime:
        """The instant at which the report is overdue."""
        programme = self.agreements[agreement]["programme"]
        return self.midnight(agreement, self.due(programme, month) + timedelta(days=1))

    def settled(self, agreement: str, month: date) -> datetime:
        year, following = (month.year, month.month + 1) if month.month < 12 else (month.year + 1, 1)
        wait = self.catalogue["programmes"][self.agreements[agreement]["programme"]]["settle_days"]
        return self.midnight(agreement, date(year, following, 1 + wait))

    def midnight(self, agreement: str, day: date) -> datetime:
        zone = self.catalogue["programmes"][self.agreements[agreement]["programme"]]["time_zone"]
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def counted_at(self, agreement: str, month: date, approved: datetime) -> datetime:
        """When the draft that was approved then was counted: as it had settled, then each day as it began."""
        at = moment = self.settled(agreement, month)
        while moment <= approved:
            at, moment = moment, moment + timedelta(hours=1)
            while moment != self.midnight(agreement, moment.astimezone(self._zone(agreement)).date()):
                moment += timedelta(hours=1)
        return at

    def _zone(self, agreement: str) -> ZoneInfo:
        return ZoneInfo(self.catalogue["programmes"][self.agreements[agreement]["programme"]]["time_zone"])

    def _set_aside(self, month: date, known: datetime) -> dict[tuple[str, str], int]:
        """Logins of SKUs that were no longer sold."""
        found: dict[tuple[str, str], int] = defaultdict(int)
        for login in self.seen:
            day = self._day(login)
            now = login.known <= known and (day.year, day.month) == (month.year, month.month)
            if now and not _within(self.skus[login.sku], day):
                found["sku_not_valid", login.source] += 1
        return dict(found)


HOLIDAYS = {
    date(2024, 1, 1), date(2024, 1, 15), date(2024, 2, 19), date(2024, 5, 27), date(2024, 6, 19), date(2024, 7, 4),
    date(2024, 9, 2), date(2024, 10, 14), date(2024, 11, 11), date(2024, 11, 28), date(2024, 12, 25), date(2025, 1, 1),
}  # fmt: skip
"""Federal holidays of the United States, from an almanac."""


def _folded(subject: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", subject).strip().casefold())


def _named(entry: dict[str, Any], name: str) -> bool:
    if "subject" in entry:
        return _folded(entry["subject"]) == name
    assert not re.search(r"[\[\]]", entry["pattern"])  # fnmatch has more than * and ?
    return fnmatch.fnmatchcase(name, _folded(entry["pattern"]))


def _within(entry: dict[str, Any], day: date) -> bool:
    first, out = entry.get("valid_from"), entry.get("valid_to")
    return (first is None or _date(first) <= day) and (out is None or day < _date(out))


def _date(value: Any) -> date:
    text = str(value)
    return date.fromisoformat(text if len(text) == 10 else f"{text}-01")


def _sum(lines: Iterable[Quantities]) -> Quantities:
    found = list(lines)
    return Quantities(*(sum(column) for column in zip(*found, strict=True))) if found else Quantities()


def _differences(before: dict[Cell, Quantities], after: dict[Cell, Quantities]) -> dict[Cell, tuple[int, int]]:
    none = Quantities()
    pairs = {cell: (before.get(cell, none).reported, after.get(cell, none).reported) for cell in {*before, *after}}
    return {cell: pair for cell, pair in pairs.items() if pair[0] != pair[1]}
