"""Two counts of a month side by side, and for what differs the likely causes in order. Pure.

`difference` is theirs - ours. A cause explains it when its figure is the whole of it; such causes come first, the
others in the order in which they are worth looking at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from schemas.reconciliation import Cause, CauseKind, ComparedCell, OtherCount, OurCount
from stream_jobs.month_close.rules.numbers import several

Add = Callable[[CauseKind, int | None, int | None, str], None]
"""Kind, figure, the difference that it would make (None: cannot be said), text."""


@dataclass(frozen=True)
class Evidence:
    """What the log and the table know about one cell; subjects, but for `set_aside`, which are events.

    None: cannot be known.
    """

    late: int = 0
    """Recorded behind the seal's close."""
    set_aside: int = 0
    """Quarantined events of the month, of whichever tenant."""
    leaving: int = 0
    """Would be no more of the month if it were cut in the other side's zone; `leaving_at_most` if some may stay."""
    leaving_at_most: bool = False
    entering: int = 0
    entering_at_most: bool = False
    case: int | None = 0
    """So many fewer if spellings that differ in case were one."""
    domain: int | None = 0
    """So many fewer if names were compared without their domain."""
    folds_case: bool = True


@dataclass(frozen=True)
class Known:
    """What the catalogue knows by now."""

    tenants: frozenset[str]
    skus: frozenset[str]


def compare(month: date, ours: Iterable[OurCount], theirs: Iterable[OtherCount]) -> list[ComparedCell]:
    """Every cell of ours and theirs in order, without causes. Ours are those that the import could have."""
    mine = {(c.tenant, c.sku): c for c in ours}
    other = {(c.tenant, c.sku): c for c in theirs}
    found = []
    for tenant, sku in sorted(mine.keys() | other.keys()):
        here = mine.get((tenant, sku), OurCount(tenant=tenant, sku=sku, agreement=""))
        there = other.get((tenant, sku), OtherCount(tenant=tenant, sku=sku, total=0))
        found.append(
            ComparedCell(
                month=month, tenant=tenant, sku=sku, agreement=here.agreement, revision=here.revision,
                ours=here.counted, theirs=there.counted, difference=there.counted - here.counted, our_free=here.free,
                their_free=there.free,
            )
        )  # fmt: skip
    return found


def causes(
    cell: ComparedCell, here: OurCount, evidence: Evidence, known: Known, zone: str, unlinked: int = 0
) -> list[Cause]:
    """Why it may differ. `zone` is the other side's; `unlinked` what it counts of the SKU for unknown tenants."""
    difference = cell.difference
    found: list[Cause] = []

    def add(kind: CauseKind, figure: int | None, meant: int | None, text: str) -> None:
        found.append(Cause(kind=kind, figure=figure, explains=meant == difference, text=text))

    nobodys = not here.agreement
    if nobodys and cell.tenant not in known.tenants:
        add("unknown_tenant", cell.theirs, difference, f"the catalogue has no tenant {cell.tenant!r}: users whom the "
            "other side links to nobody, or a name for the map's `values`")  # fmt: skip
    if nobodys and cell.sku not in known.skus:
        add("unknown_sku", cell.theirs, difference, f"the catalogue has no SKU {cell.sku!r}: a name for the map's "
            "`values`")  # fmt: skip
    if found:
        return found
    _allowances(add, cell, here)
    if difference > 0 and evidence.late:
        add("late", evidence.late, evidence.late, f"{several(evidence.late, 'subject')} reached the log behind the "
            "close: close the month again")  # fmt: skip
    if difference > 0 and evidence.set_aside:
        add("unlinked", evidence.set_aside, None, f"{several(evidence.set_aside, 'event')} of the month in "
            "quarantine, of whichever tenant: `rollcall quarantine list`")  # fmt: skip
    if difference < 0 and unlinked:
        add("unlinked", unlinked, -unlinked, f"the other side counts {unlinked} of this SKU for tenants that the "
            "catalogue does not know")  # fmt: skip
    _zone(add, difference, evidence, zone)
    if cell.theirs:  # whoever counts nobody has no names to compare
        _names(add, difference, evidence)
    if difference > 0 and evidence.folds_case and not any(cause.explains for cause in found):
        add("case", None, None, "spellings that differ in case are one subject here; how many there were is not kept")
    return sorted(found, key=lambda cause: (not cause.explains, cause.figure is None))


def _allowances(add: Add, cell: ComparedCell, here: OurCount) -> None:
    difference = cell.difference
    parts: list[tuple[CauseKind, int, str]] = [
        ("free_users", here.free, "free users"), ("excluded", here.excluded, "excluded users"),
        ("trials", here.trial, "users of trials"),
    ]  # fmt: skip
    if difference > 0:
        for kind, many, name in parts:
            if many:
                add(kind, many, many, f"{many} {name} are left out here")
        together = sum(many for _, many, _ in parts)
        if together and all(many != together for _, many, _ in parts):
            add("left_out", together, together, f"{together} are left out here in all")
    elif not difference:
        add("free_users", cell.our_free, 0, f"as many are counted, but {cell.our_free} are free here and "
            f"{cell.their_free} there")  # fmt: skip
    elif cell.their_free is not None and cell.their_free > here.free:
        more = cell.their_free - here.free
        add("free_users", more, -more, f"the other side has {cell.their_free} free users, here there are {here.free}")


def _zone(add: Add, difference: int, evidence: Evidence, zone: str) -> None:
    change = evidence.entering - evidence.leaving
    helps = (difference > 0 and evidence.entering) or (difference < 0 and evidence.leaving)
    if helps:
        lost = f"{_up_to(evidence.leaving, evidence.leaving_at_most)}{several(evidence.leaving, 'subject')}"
        gained = f"{_up_to(evidence.entering, evidence.entering_at_most)}{evidence.entering}"
        add("time_zone", change, change, f"cut in {zone}, the month would lose {lost} and gain {gained}")


def _up_to(figure: int, at_most: bool) -> str:
    return "up to " if figure and at_most else ""


def _names(add: Add, difference: int, evidence: Evidence) -> None:
    if difference < 0:
        if evidence.case:
            add("case", evidence.case, -evidence.case, f"{evidence.case} fewer if names that differ in case were one; "
                "the tenant keeps them apart (fold_case)")  # fmt: skip
        if evidence.domain:
            add("domain", evidence.domain, -evidence.domain, f"{evidence.domain} fewer if names were compared without "
                "their domain")  # fmt: skip
