"""Everything that a plan is made of, read at once: catalogue, ledgers, seals, and what came behind the seals.

`read` raises the driver's errors (`infra.clickhouse.client.explained`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from clickhouse_connect.driver.client import Client

from infra.errors import CheckFailed, ConfigurationError
from infra.generation import in_force
from schemas.catalogue import Catalogue
from stream_jobs.month_close.agreements import agreement_covering, begins, contracts_in
from stream_jobs.month_close.catalogues import stored_versions
from stream_jobs.month_close.erased_names import Erased, nobody
from stream_jobs.month_close.report.ledger import read_lives
from stream_jobs.month_close.report.life import Life
from stream_jobs.month_close.unattended.behind import Key, SealHead, changed_since, seal_heads
from stream_jobs.month_close.unattended.calendar import Calendar, Owed
from stream_jobs.month_close.unattended.plan import Matter
from stream_jobs.month_close.versions import Versions


@dataclass(frozen=True)
class Picture:
    """As it was when it was read. `changed`: why a sealed month would be counted otherwise now.

    `strays` are in the books though no agreement of the catalogue has to report them (any more); `troubles` are those
    of them of which nobody knows when they would be due.
    """

    calendar: Calendar
    lives: Mapping[Key, Life]
    seals: Mapping[Key, SealHead]
    changed: Mapping[Key, str]
    strays: Mapping[Key, Owed]
    troubles: Mapping[Key, str]

    def matters(self, now: datetime) -> Iterator[Matter]:
        """Every report that is owed at this moment and not finished, the oldest first."""
        owed = {(one.agreement.id, one.month): one for one in self.calendar.owed(now)}
        strays = {key: one for key, one in self.strays.items() if key not in owed and one.over <= now}
        for key, one in sorted({**owed, **strays}.items(), key=lambda item: (item[0][1], item[0][0])):
            matter = self._matter(key, Matter(one, self.lives.get(key) or Life(*key)))
            if not matter.finished:
                yield matter

    def _matter(self, key: Key, matter: Matter) -> Matter:
        seal = self.seals.get(key)
        if seal is None:
            return matter
        return replace(matter, seal=seal.revision, sealed_at=seal.sealed_at, changed=self.changed.get(key, ""))


def read(client: Client, erased: Erased = nobody) -> Picture:
    """`erased` as for `changed_since`.

    Raises ConfigurationError before the first `migrate`, CheckFailed when something of it does not agree.
    """
    versions = stored_versions(client)
    if versions.newest is None:
        raise ConfigurationError("no catalogue is stored: `rollcall migrate` stores the first version")
    catalogue = versions.at(versions.newest)
    heads = seal_heads(client)
    changed = changed_since(client, versions, heads, erased)
    lives = read_lives(client)
    strays, troubles = _strays(versions, versions.newest, {*lives, *changed}, lives)
    calendar = Calendar(catalogue, _loose(client, catalogue, versions))
    return Picture(calendar, lives, heads, changed, strays, troubles)


def _strays(
    versions: Versions, newest: int, keys: Iterable[Key], lives: Mapping[Key, Life]
) -> tuple[dict[Key, Owed], dict[Key, str]]:
    """What the month's contracts do not have, as the newest version that knew it says."""
    found: dict[Key, Owed] = {}
    troubles: dict[Key, str] = {}
    known: dict[date, set[str]] = {}
    for id, month in keys:
        if month not in known:
            known[month] = {a.id for a in contracts_in(versions.at(newest), month)}
        if id in known[month]:
            continue
        try:
            agreement = versions.contract(id, newest, month)
            calendar = Calendar(versions.with_programme(agreement.programme, newest), {})
            found[id, month] = calendar.one(agreement, month)
        except CheckFailed as error:
            if (id, month) not in lives or not lives[id, month].sent:
                troubles[id, month] = str(error)
    return found, troubles


def _loose(client: Client, catalogue: Catalogue, versions: Versions) -> dict[str, set[date]]:
    """By programme, the months with logins that no agreement covers. Asked only where that can be.

    Before a programme's first agreement nothing was agreed, and nothing is owed.
    """
    whole = {a.programme for a in catalogue.agreements if not a.tenants and a.valid_to is None}
    programmes = catalogue.programmes.keys() - whole
    if not programmes or versions.newest is None:
        return {}
    begun = dict.fromkeys(programmes, date.min)
    for agreement in sorted(catalogue.agreements, key=begins, reverse=True):
        begun[agreement.programme] = begins(agreement)
    cells = client.query(f"SELECT DISTINCT month, tenant, sku FROM {in_force(client).table}").result_rows
    skus = versions.skus({sku for _, _, sku in cells}, versions.newest)
    found: dict[str, set[date]] = {}
    for month, tenant, sku in cells:
        programme = skus[sku].programme
        owed = programme in programmes and begun[programme] <= month
        if owed and agreement_covering(catalogue, programme, tenant, month) == programme:
            found.setdefault(programme, set()).add(month)
    return found
