"""A name is erased: it goes from ClickHouse and stays gone. What was counted stays, under a pseudonym."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from infra import erasures
from infra.clickhouse.client import explained
from infra.errors import ConfigurationError
from infra.generation import in_force
from infra.kafka.group import members
from infra.lookups import Asker, keep
from schemas.settings import Settings
from stream_jobs.dedup.erased import REREAD_SECONDS
from stream_jobs.subjects.person import find, other_names
from stream_jobs.subjects.places import Kept, kept


@dataclass(frozen=True)
class Erased:
    """`names` were in the table; `before` tells that an erasure was stored already. `kept`: where the name still is;
    `others`: how many other names of the same person are stored."""

    names: int
    before: bool
    kept: list[Kept]
    others: int


def erase(
    settings: Settings, client: Client, tenant: str, name: str, asker: Asker, now: datetime,
    sleep: Callable[[float], None] = time.sleep,
) -> Erased:  # fmt: skip
    """Stores that the name is erased, then takes it out. May be done again, also while workers run.

    Raises ConfigurationError (no reason, no such tenant, other keys), CheckFailed, OutOfReach.
    """
    if not asker.reason.strip():
        raise ConfigurationError("say why the name is erased: --reason")
    known = find(settings, client, tenant, name)
    subjects = known.person.subjects
    with explained(settings.clickhouse):
        keep(client, asker, 1, tenant=tenant)
        before = bool(erasures.erased(client, tenant, subjects))
        erasures.store(client, tenant, subjects, asker.actor, asker.reason)
        others = len(other_names(client, known.person))
        names = erasures.sweep(client, settings.clickhouse)
        group = in_force(client).group(settings.kafka)
    if members(settings.kafka, group):
        sleep(REREAD_SECONDS + 1)  # until then a worker may not know
        with explained(settings.clickhouse):
            names += erasures.sweep(client, settings.clickhouse)
    return Erased(names, before, kept(settings, known.person, known.catalogues, now), others)
