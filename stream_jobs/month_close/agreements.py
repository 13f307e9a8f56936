"""What a catalogue agrees to report of a month: its contracts, and the tenants that each of them covers.

Law: within a programme every tenant belongs to exactly one agreement a month. An agreement that names tenants has
those; one that names none has the tenants that no other names; where no such agreement is, the programme's own id
has them. If several claim a tenant, or the rest, the first in the catalogue's order has it. All of this is pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from infra.errors import CheckFailed
from schemas.agreement import Agreement, Party
from schemas.calendar import month_name
from schemas.catalogue import Catalogue
from schemas.parts import covers

UNKNOWN_CONTRACT = date(1970, 1, 1)
"""The contract date of what is reported under a programme's own id: nobody has told it."""


@dataclass(frozen=True)
class Tenants:
    """Those that are named; with `others`, all but those."""

    named: frozenset[str]
    others: bool = False

    def __contains__(self, tenant: str) -> bool:
        return (tenant in self.named) != self.others


def contracts_in(catalogue: Catalogue, month: date) -> list[Agreement]:
    """Every agreement that has to report this month, with or without logins, in order of their ids.

    A programme without any agreement in the month reports under its own id. (One whose agreements all name tenants
    reports the others under its id as soon as they have logins: `contract_in` tells of it too.)
    """
    found = [a for a in catalogue.agreements if valid_in(a, month)]
    held = {a.programme for a in found}
    return sorted([*found, *(of_programme(p) for p in catalogue.programmes if p not in held)], key=lambda a: a.id)


def contract_in(catalogue: Catalogue, id: str, month: date) -> Agreement:
    """The agreement of this id as it is valid in the month (its first day).

    Where it is not valid then, as it was last before the month, or else first after it: what was closed once may owe
    a correction. A programme's id gives the default one (`of_programme`). Raises CheckFailed when it is neither.
    """
    found = sorted((a for a in catalogue.agreements if a.id == id), key=begins)
    valid = [a for a in found if valid_in(a, month)]
    before = [a for a in found if begins(a) <= month]
    if found:
        return valid[0] if valid else before[-1] if before else found[0]
    if id in catalogue.programmes:
        return of_programme(id)
    raise CheckFailed(
        f"the catalogue has no agreement {id} for {month_name(month)}: add it, then `rollcall catalogue apply`"
    )


def of_programme(id: str) -> Agreement:
    """What is reported under a programme's own id: both parties go by its name, and a person sends the report."""
    return Agreement(
        id=id, programme=id, partner=Party(name=id), distributor=Party(name=id), contract_date=UNKNOWN_CONTRACT
    )


def begins(agreement: Agreement) -> date:
    """The first day of its first month."""
    return (agreement.valid_from or agreement.contract_date).replace(day=1)


def valid_in(agreement: Agreement, month: date) -> bool:
    """An agreement is valid for whole months; `month` is the first day of one."""
    return covers(begins(agreement), agreement.valid_to, month)


def covers_in(catalogue: Catalogue, programme: str, month: date) -> dict[str, Tenants]:
    """The tenants of each agreement of the programme, by its id; together they are all tenants, each once.

    The programme's own id is among them if no agreement has the rest.
    """
    valid = [a for a in catalogue.agreements if a.programme == programme and valid_in(a, month)]
    owner: dict[str, str] = {}
    for agreement in valid:
        for tenant in agreement.tenants:
            owner.setdefault(tenant, agreement.id)
    rest = next((a.id for a in valid if not a.tenants), programme)
    found = {a.id: Tenants(frozenset(t for t, id in owner.items() if id == a.id)) for a in valid}
    return {**found, rest: Tenants(frozenset(t for t, id in owner.items() if id != rest), others=True)}


def agreement_covering(catalogue: Catalogue, programme: str, tenant: str, month: date) -> str:
    """The id under which a tenant's logins of a programme's SKUs are reported."""
    return next(id for id, tenants in covers_in(catalogue, programme, month).items() if tenant in tenants)
