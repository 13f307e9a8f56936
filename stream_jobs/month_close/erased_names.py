"""Names that entries give exactly and that may be erased: whose they are is found by pseudonym.

So an erasure changes no count. Of a pattern nothing can be hashed: it finds no erased name.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cache

from clickhouse_connect.driver.client import Client

from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.settings import Settings

Erased = Callable[[str, str, date], bytes | None]
"""The pseudonym of a tenant's canonical name in a month (its first day); None: the tenant has no erased names."""


def nobody(tenant: str, name: str, month: date) -> None:
    """Where it does not matter who is left out."""


def erased_names(settings: Settings, client: Client) -> Erased:
    """Asks who is erased with the first name, and for the keys only where a tenant with an erasure has one.

    It raises ConfigurationError when they are not here then, else the driver's errors.
    """

    @cache
    def tenants() -> set[str]:
        return {row[0] for row in client.query("SELECT DISTINCT tenant FROM subject_erasures").result_rows}

    @cache
    def hashed() -> MonthlyPseudonyms:
        return MonthlyPseudonyms(pseudonym_keys(settings))

    def subject(tenant: str, name: str, month: date) -> bytes | None:
        return hashed().at(month).of(tenant, name) if tenant in tenants() else None

    return subject
