"""One person as the tables know them: the pseudonyms that a name of a tenant has by each key.

The name itself never goes to ClickHouse, whose log of queries would keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from clickhouse_connect.driver.client import Client

from infra.catalogue import stored_versions
from infra.clickhouse.client import explained
from infra.errors import ConfigurationError
from infra.keys import check_keys
from infra.pseudonyms import MonthlyPseudonyms
from infra.secrets import pseudonym_keys
from schemas.catalogue import Catalogue, parse_catalogue
from schemas.identity import canonical
from schemas.settings import Settings


@dataclass(frozen=True)
class Pseudonym:
    """A subject, and from which month on its key makes it."""

    from_month: date
    name: str
    """In the canonical form that it is made of."""
    subject: bytes


@dataclass(frozen=True)
class Person:
    tenant: str
    pseudonyms: tuple[Pseudonym, ...]

    @property
    def names(self) -> set[str]:
        """The canonical forms: more than one where the tenant has changed how it folds case."""
        return {each.name for each in self.pseudonyms}

    @property
    def subjects(self) -> list[bytes]:
        return sorted({each.subject for each in self.pseudonyms})


@dataclass(frozen=True)
class Known:
    """What a look for a person begins with: who it is, and every catalogue version, by its number."""

    person: Person
    catalogues: dict[int, Catalogue]


def find(settings: Settings, client: Client, tenant: str, name: str) -> Known:
    """Raises ConfigurationError when no catalogue has the tenant, the name is none, or the keys are not the data's."""
    if not canonical(name):
        raise ConfigurationError("the name is empty: write it as the broker spells it")
    keys = pseudonym_keys(settings)
    with explained(settings.clickhouse):
        check_keys(client, keys)
        versions = stored_versions(client)
    catalogues = {version.version: parse_catalogue(version.yaml) for version in versions}
    forms = {
        (each.fold_case, truncate) for catalogue in catalogues.values() for each in catalogue.tenants
        if each.id == tenant for truncate in (False, each.truncate_domain is not None)
    }  # fmt: skip
    if not forms:
        raise ConfigurationError(f"no catalogue has a tenant {tenant}: mend the spelling")
    return Known(person_of(MonthlyPseudonyms(keys), tenant, {canonical(name, *form) for form in forms}), catalogues)


def person_of(pseudonyms: MonthlyPseudonyms, tenant: str, names: set[str]) -> Person:
    """Pure."""
    found = [
        Pseudonym(start, name, by_key.of(tenant, name))
        for start, by_key in sorted(pseudonyms.by_start.items()) for name in sorted(names)
    ]  # fmt: skip
    return Person(tenant, tuple(found))


_OTHERS = (
    "SELECT DISTINCT name FROM known_names"
    " WHERE tenant = %(tenant)s AND lower(hex(subject)) NOT IN %(subjects)s AND subject IN ("
    "  SELECT arrayJoin([one, other]) FROM identity_links"
    "  WHERE tenant = %(tenant)s AND (lower(hex(one)) IN %(subjects)s OR lower(hex(other)) IN %(subjects)s)"
    "  UNION ALL SELECT subject FROM linked_subjects WHERE tenant = %(tenant)s AND (month, representative) IN ("
    "   SELECT month, representative FROM linked_subjects"
    "   WHERE tenant = %(tenant)s AND lower(hex(subject)) IN %(subjects)s))"
    " ORDER BY name"
)


def other_names(client: Client, person: Person) -> list[str]:
    """Other stored names that events or decisions say are the same person's, in canonical form."""
    parameters = {"tenant": person.tenant, "subjects": [subject.hex() for subject in person.subjects]}
    return [name for (name,) in client.query(_OTHERS, parameters=parameters).result_rows]
