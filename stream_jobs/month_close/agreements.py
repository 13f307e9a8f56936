"""Which SKUs an agreement counts, and whether its month is over. Today an agreement is a programme, under its id.

A SKU belongs to the programme that the newest catalogue version in force gives it. A row whose SKU that version
no longer has belongs to the programme of the newest earlier version that has it: a SKU taken out of the catalogue
was sold until then, and its users are still owed. So every row belongs to exactly one agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from infra.errors import CheckFailed
from schemas.calendar import epoch_us, moment_of, month_interval, month_name, next_month, zone_named
from schemas.catalogue import Catalogue, Programme, Sku


@dataclass(frozen=True)
class Agreement:
    """What of the catalogue decides a seal. Two that are equal count the same rows by the same rules.

    `units` has every SKU of the month's rows that is the agreement's, and what a subject of it is (CSP-22).
    """

    id: str
    time_zone: str
    units: Mapping[str, str]


class Versions:
    """The catalogue's stored versions, each read when it is first asked for.

    `numbers` are those that are stored; `read` returns one of them.
    """

    def __init__(self, numbers: Iterable[int], read: Callable[[int], Catalogue]) -> None:
        self._numbers = sorted(numbers)
        self._read = read
        self._known: dict[int, Catalogue] = {}

    @property
    def newest(self) -> int | None:
        return self._numbers[-1] if self._numbers else None

    def at(self, version: int) -> Catalogue:
        """Raises CheckFailed when there is no such version."""
        if version not in self._numbers:
            raise CheckFailed(
                f"catalogue version {version} is in the log but not among the stored versions: "
                "restore ClickHouse's table catalogue_versions, or name the ClickHouse that it was applied to"
            )
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def programme(self, agreement: str, version: int) -> Programme | None:
        """As of this version, or of the newest before it that has the programme."""
        found = (c.programmes[agreement] for c in self._back_from(version) if agreement in c.programmes)
        return next(found, None)

    def skus(self, wanted: Iterable[str], version: int) -> dict[str, Sku]:
        """Each as of this version, or of the newest before it that has it.

        Raises CheckFailed when one is in none: nothing may be lost without a word.
        """
        missing = set(wanted)
        found: dict[str, Sku] = {}
        for catalogue in self._back_from(version):
            if not missing:
                break
            here = {sku.id: sku for sku in catalogue.skus if sku.id in missing}
            found |= here
            missing -= here.keys()
        if missing:
            raise CheckFailed(
                f"active_users has logins of {', '.join(sorted(missing))}, which no catalogue version up to {version} "
                "knows: look at `rollcall catalogue history`; was another ClickHouse restored?"
            )
        return found

    def _back_from(self, version: int) -> Iterator[Catalogue]:
        yield self.at(version)
        for number in reversed(self._numbers):
            if number < version:
                yield self.at(number)


def agreements_of(versions: Versions, version: int, skus: Iterable[str], closed: Iterable[str]) -> list[Agreement]:
    """Every agreement that has to report a month, in order of their ids.

    Those are the programmes of the catalogue's `version`, the owners of the SKUs that the month has logins of, and
    the agreements that `closed` the month before: if their SKUs went elsewhere, they owe a revision without them.
    """
    owned = versions.skus(skus, version)
    ids = {*versions.at(version).programmes, *closed, *(sku.programme for sku in owned.values())}
    return [agreement_of(versions, version, id, owned) for id in sorted(ids)]


def agreement_of(versions: Versions, version: int, id: str, owned: Mapping[str, Sku]) -> Agreement:
    """One agreement by the catalogue's `version`; `owned` holds the SKUs that the month has logins of."""
    programme = versions.programme(id, version)
    if programme is None:
        raise CheckFailed(f"no catalogue version up to {version} has a programme {id}: add it, then `catalogue apply`")
    units = {sku.id: sku.unit for sku in owned.values() if sku.programme == id}
    return Agreement(id, programme.time_zone, units)


def unfinished(month: date, zones: Iterable[str], append_ms: int) -> str | None:
    """The operator's sentence if the month is not over in one of the zones; None when it is over in all.

    `append_ms` is the smallest append time of the close's control records, in epoch milliseconds.
    """
    ends = {name: month_interval(month, zone_named(name))[1] for name in zones}
    late = {name: end for name, end in ends.items() if append_ms * 1000 < end}
    if not late:
        return None
    name = max(late, key=lambda zone: late[zone])
    until = moment_of(late[name]).astimezone(zone_named(name))
    return (
        f"month {month_name(month)} is not over in {name} until {until:%Y-%m-%d %H:%M %z} "
        f"(the close's records were appended {_utc(append_ms):%Y-%m-%d %H:%M}Z): close it after that"
    )


def unfinished_anywhere(month: date, append_ms: int) -> str | None:
    """The same sentence if the month is over in no zone that could exist: an offset is less than a day.

    So this may be asked before the zone is known, and never refuses what the rule would let pass.
    """
    end = epoch_us(datetime(*next_month(month).timetuple()[:3], tzinfo=UTC) - timedelta(days=1))
    if append_ms * 1000 >= end:
        return None
    return (
        f"month {month_name(month)} is not over in any time zone (the close's records were appended "
        f"{_utc(append_ms):%Y-%m-%d %H:%M}Z): close it when it is"
    )


def _utc(ms: int) -> datetime:
    return moment_of(ms * 1000)
