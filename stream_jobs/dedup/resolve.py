"""What an event counts for, by one catalogue version: tenant, SKU, and the month and day in the programme's zone.

Pure and deterministic: the same event under the same version always resolves alike. Places in time are looked up by
quarter of an hour, since (almost) every zone's days begin on one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from msgspec import UNSET

from schemas.calendar import day_start, epoch_us, locate, month_interval, zone_named
from schemas.catalogue import Catalogue, Sku, Tenant
from schemas.fast import Login
from schemas.identity import canonical, domain_of
from schemas.quarantine import Refusal
from stream_jobs.dedup.cache import Cache, Slot
from stream_jobs.dedup.moment import microseconds, quarter_of

Day = tuple[int, int]
"""A month (counted from year 0) and the bit of a day in it."""


class Zone:
    """The days of a time zone, found once for each quarter of an hour: (almost) every zone's days begin on one."""

    def __init__(self, name: str) -> None:
        self.info = zone_named(name)
        self.quarters: dict[int, Day] = {}
        """The days found so far, by `moment.quarter_of`."""

    def day(self, since: timedelta) -> Day:
        """The day of a time since the epoch."""
        quarter = quarter_of(since)
        found = self.quarters.get(quarter)
        if found is None:
            first = self._locate(quarter * _QUARTER_US)
            if first == self._locate((quarter + 1) * _QUARTER_US - 1):
                self.quarters[quarter] = found = first
            else:  # a day begins inside of it
                found = self._locate(microseconds(since))
        return found

    def _locate(self, us: int) -> Day:
        month, day = locate(us, self.info)
        return month.year * 12 + month.month - 1, 1 << day


_QUARTER_US = 900_000_000


class Cell:
    """A SKU of a tenant: finds the slot of an event."""

    def __init__(self, tenant: Tenant, sku: Sku, zone: Zone, floor: int, cache: Cache) -> None:
        self.zone = zone
        self.quarters = zone.quarters
        """The days found so far, none of them before the floor, which is a day's start in UTC and so a quarter's."""
        self.months: dict[int, Slot] = {}
        """The slots of months in which the SKU is valid from start to end."""
        self._tenant, self._sku, self._cache = tenant, sku, cache
        start = day_start(sku.valid_from, zone.info) if sku.valid_from else floor
        self._floor, self._start = floor, max(floor, start)
        self._end = day_start(sku.valid_to, zone.info) if sku.valid_to else None

    def place(self, since: timedelta) -> tuple[Slot, int]:
        """The slot and the bit of the day of a time since the epoch. Raises Refusal as `day` and `slot` do."""
        month, bit = self.day(since)
        return self.slot(month, since), bit

    def day(self, since: timedelta) -> Day:
        """The day of a time since the epoch. Raises Refusal: before the floor."""
        if microseconds(since) < self._floor:  # first: a calendar has no room for the year 1
            raise Refusal("before_floor", "the time lies before the setting worker.floor")
        return self.zone.day(since)

    def slot(self, month: int, since: timedelta) -> Slot:
        """The slot of a time that `day` let pass, in its month. Raises Refusal: the SKU is not valid then."""
        us = microseconds(since)
        if us < self._start or (self._end is not None and us >= self._end):
            raise Refusal("sku_not_valid", f"SKU {self._sku.id} is not valid on that day")
        first = date(month // 12, month % 12 + 1, 1)
        slot = self._cache.slot(first, self._tenant.id, self._sku.id, self._tenant.fold_case)
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
        zones = {name: Zone(programme.time_zone) for name, programme in catalogue.programmes.items()}
        self._zones = {sku.id: zones[sku.programme] for sku in catalogue.skus}
        self._products = {(p.source, p.product): p for p in catalogue.products}
        self._domains = {canonical(d): tenant.id for tenant in catalogue.tenants for d in tenant.domains}
        self._floor = epoch_us(datetime(floor.year, floor.month, floor.day, tzinfo=UTC))
        self._cache = cache

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
