"""What an event counts for, by one catalogue version: tenant, SKU, and the month and day in the programme's zone.

Pure and deterministic: the same event under the same version always resolves alike. Places in time are looked up by
quarter of an hour, since (almost) every zone's days begin on one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from msgspec import UNSET

from schemas.calendar import day_start, locate, zone_named
from schemas.catalogue import Catalogue, Product, Sku
from schemas.identity import canonical, domain_of
from schemas.quarantine import Refusal
from stream_jobs.dedup.cache import Cache, Slot
from stream_jobs.dedup.decode import Login
from stream_jobs.dedup.moment import microseconds, quarter_of, since_epoch

_QUARTER_US = 900_000_000
Day = tuple[Slot, int]
"""A slot of the cache, and the bit of a day in its month."""


class Cell:
    """A SKU of a tenant: finds the slot and the day of a time."""

    def __init__(self, tenant: str, fold_case: bool, sku: Sku, zone_name: str, floor: timedelta, cache: Cache) -> None:
        self.tenant, self.fold_case, self.sku = tenant, fold_case, sku
        self._zone, self._floor, self._cache = zone_named(zone_name), floor, cache
        self.quarters: dict[int, Day] = {}
        """The days found so far, by `moment.quarter_of`."""

    def day(self, time: timedelta) -> Day:
        """The day of a time since the epoch. Raises Refusal: before the floor, or the SKU is not valid then."""
        quarter = quarter_of(time)
        found = self.quarters.get(quarter)
        if found is None:
            found = self._locate(time)
            if self._uniform(quarter):
                self.quarters[quarter] = found
        return found

    def _locate(self, time: timedelta) -> Day:
        if time < self._floor:
            raise Refusal("before_floor", "the time lies before the setting worker.floor")
        us = microseconds(time)
        if not self._valid(us):
            raise Refusal("sku_not_valid", f"SKU {self.sku.id} is not valid on that day")
        month, day = locate(us, self._zone)
        return self._cache.slot(month, self.tenant, self.sku.id, self.fold_case), 1 << day

    def _uniform(self, quarter: int) -> bool:
        """Whether the whole quarter lies on one day; zones whose days begin elsewhere are told apart each time."""
        first, last = quarter * _QUARTER_US, (quarter + 1) * _QUARTER_US - 1
        return locate(first, self._zone) == locate(last, self._zone) and self._valid(first) == self._valid(last)

    def _valid(self, us: int) -> bool:
        sku = self.sku
        return (sku.valid_from is None or day_start(sku.valid_from, self._zone) <= us) and (
            sku.valid_to is None or us < day_start(sku.valid_to, self._zone)
        )


class Resolver:
    """One version of the catalogue, ready for look-up."""

    def __init__(self, version: int, catalogue: Catalogue, floor: date, cache: Cache) -> None:
        self.version = version
        self.cells: dict[tuple[object, object], Cell] = {}
        """The cells met so far, by the tenant and the SKU that an event names."""
        self._tenants = {tenant.id: tenant for tenant in catalogue.tenants}
        self._skus = {sku.id: sku for sku in catalogue.skus}
        self._zones = {sku.id: catalogue.programmes[sku.programme].time_zone for sku in catalogue.skus}
        self._products = {(p.source, p.product): p for p in catalogue.products}
        self._domains = {canonical(d): tenant.id for tenant in catalogue.tenants for d in tenant.domains}
        self._floor = since_epoch(datetime(floor.year, floor.month, floor.day, tzinfo=UTC))
        self._cache = cache

    def cell(self, event: Login) -> Cell:
        """What an event counts for, whatever it names. Raises Refusal."""
        data = event.data
        tenant_named = None if data.tenant is UNSET else str(data.tenant)
        if data.sku is not UNSET:
            sku, owner = str(data.sku), None
        else:
            product = self._product(event.source, str(data.product))
            sku, owner = product.sku, product.tenant
        if owner is not None and tenant_named is not None and owner != tenant_named:
            raise Refusal("tenant_conflict", f"the product is mapped to tenant {owner}, the event names another")
        tenant = owner or tenant_named or self._tenant_of_domain(event.subject)
        return self._cell(tenant, sku)

    def _cell(self, tenant: str, sku: str) -> Cell:
        cell = self.cells.get((tenant, sku))
        if cell is None:
            if tenant not in self._tenants:
                raise Refusal("unknown_tenant", f"{tenant!a} is not under tenants")
            if sku not in self._skus:
                raise Refusal("unknown_sku", f"{sku!a} is not under skus")
            fold_case = self._tenants[tenant].fold_case
            cell = Cell(tenant, fold_case, self._skus[sku], self._zones[sku], self._floor, self._cache)
            self.cells[tenant, sku] = cell
        return cell

    def _product(self, source: str, product: str) -> Product:
        found = self._products.get((source, product))
        if found is None:
            raise Refusal("unknown_product", f"{product!a} of source {source!a} is not under products")
        return found

    def _tenant_of_domain(self, subject: str) -> str:
        domain = domain_of(subject)
        tenant = self._domains.get(domain) if domain else None
        if tenant is None:
            raise Refusal("no_tenant", "neither the event nor its product names one, nor does the user's domain")
        return tenant
