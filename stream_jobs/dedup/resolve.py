"""What an event counts for, by one catalogue version: tenant, SKU, and the month and day in the programme's zone.

Pure and deterministic: the same event under the same version always resolves alike. Places in time are looked up by
the hour that the event's clock shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from msgspec import UNSET

from schemas.calendar import day_start, epoch_us, locate, month_interval, zone_named
from schemas.catalogue import Catalogue, Sku, Tenant
from schemas.fast import Login, Reader
from schemas.identity import canonical, domain_of
from schemas.quarantine import Refusal
from stream_jobs.dedup.cache import Cache, Slot, origin, stamp
from stream_jobs.dedup.moment import first_minute, microseconds

_QUARTER_US = 900_000_000
_MINUTE_US = 60_000_000
_HOUR_US = 4 * _QUARTER_US


Place = tuple[int, int, int]
"""Where in a programme's calendar an event falls: a month (counted from year 0), the bit of a day in it (1 << the day),
and a stamp (`cache`)."""


class Zone:
    """The days of a time zone, found once for each hour that a clock can show."""

    def __init__(self, name: str, floor: int) -> None:
        self.info = zone_named(name)
        self.hours: dict[int, Place] = {}
        """The clock hours found so far (`moment`) that lie within one day, none of them before the floor."""
        self._floor = floor

    def place(self, since: timedelta, hour: int) -> Place:
        """The place of a time since the epoch within a clock hour. Raises Refusal: before the floor."""
        us = microseconds(since)
        if us < self._floor:  # first: a calendar has no room for the year 1
            raise Refusal("before_floor", "the time lies before the setting worker.floor")
        month, day = locate(us, self.info)
        place = month.year * 12 + month.month - 1, 1 << day, stamp(origin(month), first_minute(hour))
        start = first_minute(hour) * _MINUTE_US
        if start >= self._floor and all(locate(edge, self.info) == (month, day) for edge in _edges(start)):
            self.hours[hour] = place
        return place


def _edges(start: int) -> Iterator[int]:
    """The first and last microseconds of an hour, and of the quarters in it: a day hardly begins elsewhere.

    Clocks that are put back just behind midnight show a day for a minute, and the day before again.
    """
    yield start
    for quarter in range(start + -start % _QUARTER_US, start + _HOUR_US, _QUARTER_US):
        yield from (quarter - 1, quarter) if quarter > start else ()
    yield start + _HOUR_US - 1


class Cell:
    """A SKU of a tenant: finds the slot of an event."""

    def __init__(self, tenant: Tenant, sku: Sku, zone: Zone, floor: int, cache: Cache) -> None:
        self.zone = zone
        self.hours = zone.hours
        self.months: dict[int, Slot] = {}
        """The slots of months in which the SKU is valid from start to end."""
        self._tenant, self._sku, self._cache = tenant, sku, cache
        start = day_start(sku.valid_from, zone.info) if sku.valid_from else floor
        self._start = max(floor, start)
        self._end = day_start(sku.valid_to, zone.info) if sku.valid_to else None

    def place(self, since: timedelta, hour: int) -> tuple[Slot, int]:
        """The slot and the bit of the day of a time since the epoch, in its clock hour. Raises Refusal."""
        month, bit, _ = self.hours.get(hour) or self.zone.place(since, hour)
        return self.slot(month, since), bit

    def slot(self, month: int, since: timedelta) -> Slot:
        """The slot of a time that has its place in this month. Raises Refusal: the SKU is not valid then."""
        us = microseconds(since)
        if us < self._start or (self._end is not None and us >= self._end):
            raise Refusal("sku_not_valid", f"SKU {self._sku.id} is not valid on that day")
        first = date(month // 12, month % 12 + 1, 1)
        tenant = self._tenant
        slot = self._cache.slot(first, tenant.id, self._sku.id, tenant.fold_case, tenant.truncates(first))
        start, end = month_interval(first, self.zone.info)
        if self._start <= start and (self._end is None or end <= self._end):
            self.months[month] = slot
        return slot


class Resolver:
    """One version of the catalogue, ready for look-up."""

    def __init__(self, version: int, catalogue: Catalogue, floor: date, cache: Cache) -> None:
        self.version = version
        self.cells: dict[tuple[object, object], Cell] = {}
        """The cells met so far, by the tenant and the SKU that an event names."""
        self._tenants = {tenant.id: tenant for tenant in catalogue.tenants}
        self._skus = {sku.id: sku for sku in catalogue.skus}
        self._floor = epoch_us(datetime(floor.year, floor.month, floor.day, tzinfo=UTC))
        zones = {name: Zone(programme.time_zone, self._floor) for name, programme in catalogue.programmes.items()}
        self._zones = {sku.id: zones[sku.programme] for sku in catalogue.skus}
        self._products = {(p.source, p.product): p for p in catalogue.products}
        self._domains = {canonical(d): tenant.id for tenant in catalogue.tenants for d in tenant.domains}
        self._cache = cache
        self.reader = Reader(self._tenants, self._skus)
        """Makes no new texts of the tenants and SKUs that the catalogue knows."""

    def cell(self, event: Login) -> Cell:
        """What an event counts for, whatever it names. Raises Refusal."""
        data = event.data
        product = self._products.get((event.source, str(data.product)))
        if data.sku is not UNSET:
            sku = str(data.sku)
        elif product is not None:
            sku = product.sku
        else:
            raise Refusal("unknown_product", f"{data.product!a} of source {event.source!a} is not under products")
        named, owner = data.tenant, product and product.tenant
        if owner is not None and named is not UNSET and owner != named:
            raise Refusal("tenant_conflict", f"the product is mapped to tenant {owner}, the event names another")
        tenant = owner or (str(named) if named is not UNSET else self._tenant_of_domain(event.subject))
        return self._cell(tenant, sku)

    def _cell(self, tenant: str, sku: str) -> Cell:
        cell = self.cells.get((tenant, sku))
        if cell is None:
            if tenant not in self._tenants:
                raise Refusal("unknown_tenant", f"{tenant!a} is not under tenants")
            if sku not in self._skus:
                raise Refusal("unknown_sku", f"{sku!a} is not under skus")
            cell = Cell(self._tenants[tenant], self._skus[sku], self._zones[sku], self._floor, self._cache)
            self.cells[tenant, sku] = cell
        return cell

    def _tenant_of_domain(self, subject: str) -> str:
        domain = domain_of(subject)
        tenant = self._domains.get(domain) if domain else None
        if tenant is None:
            raise Refusal("no_tenant", "neither the event nor its product names one, nor does the user's domain")
        return tenant
