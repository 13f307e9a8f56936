"""Who logs in and is not counted, as a month's entries: exclusions, free users, trials. Pure.

A subject is left out of a SKU's count if each of its active days in the month is covered by an entry. Its reason is
that of the first entry that covers any of them: exclusions before free users before trials, each in the catalogue's
order.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import date, timedelta

from schemas.allowances import Exclusion
from schemas.calendar import next_month
from schemas.catalogue import Catalogue, rules_in_force
from schemas.close import LeftOut, LeftOutKind
from schemas.identity import canonical
from schemas.parts import Validity, covers
from schemas.rules import TrialsRule


@dataclass(frozen=True)
class Allowance:
    """One entry in one month: for everybody (a trial), or for the subject of a name, or for those of a pattern."""

    kind: LeftOutKind
    reason: str
    tenant: str
    skus: tuple[str, ...]
    """Empty: every SKU."""
    days: int
    """Bit d: day d of the month is covered."""
    name: str | None = None
    pattern: str | None = None
    """RE2, of the whole canonical name."""
    subject: bytes | None = None
    """The name's pseudonym, where the name itself may be erased."""

    @property
    def stored(self) -> str:
        """As the reason of a sealed subject: `excluded:administration`, `free:own-staff`, `trial`."""
        return f"{self.kind}:{self.reason}" if self.reason else self.kind


def allowances_in(catalogue: Catalogue, programme: str, month: date, tenants: Container[str]) -> tuple[Allowance, ...]:
    """The entries for these tenants that cover any day of the month (its first day), in the order of their right.

    Trials are among them only where a trials rule of the programme that covers the month says they do not count.
    """
    known = {tenant.id: tenant for tenant in catalogue.tenants}
    found: list[Allowance] = []
    kinds: list[tuple[LeftOutKind, list[Exclusion]]] = [
        ("excluded", catalogue.exclusions), ("free", catalogue.free_users),
    ]  # fmt: skip
    for kind, entries in kinds:
        for entry in entries:
            owner = known.get(entry.tenant)
            fold = owner is None or owner.fold_case
            truncate = owner is not None and owner.truncates(month)
            found.append(
                Allowance(
                    kind, entry.reason, entry.tenant, tuple(entry.skus), days_covered(entry.validity, month),
                    None if entry.subject is None else canonical(entry.subject, fold, truncate),
                    None if entry.pattern is None else glob(canonical(entry.pattern, fold)),
                )
            )  # fmt: skip
    if not trials_count(catalogue, programme, month):
        found += [
            Allowance("trial", "", trial.tenant, (trial.sku,), days_covered(trial.validity, month))
            for trial in catalogue.trials
        ]
    return tuple(entry for entry in found if entry.days and entry.tenant in tenants)


def trials_count(catalogue: Catalogue, programme: str, month: date) -> bool:
    """By the trials rule in force (CSP-9); without one they count, since nothing allows to leave anybody out."""
    rules = [rule for rule in rules_in_force(catalogue, programme, month) if isinstance(rule, TrialsRule)]
    return rules[0].counted if rules else True


def days_covered(validity: Validity, month: date) -> int:
    """Bit d is set for each day d of the month that the validity covers."""
    day, covered = month, 0
    while day < next_month(month):
        covered |= covers(*validity, day) << day.day
        day += timedelta(days=1)
    return covered


def glob(pattern: str) -> str:
    """RE2 for the whole of a text: `*` is any text, `?` any character."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return f"(?s)^{''.join(parts)}$"


def left_out_of(tenant: str, sku: str, stored: str, subjects: int) -> LeftOut:
    """A count of sealed subjects by their stored reason."""
    kind, _, reason = stored.partition(":")
    return LeftOut.model_validate(
        {"tenant": tenant, "sku": sku, "kind": kind, "reason": reason, "subjects": subjects}
    )
