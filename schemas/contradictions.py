"""What of a catalogue is well-formed but cannot hold together: names that lead nowhere, doubles, validities.

What contradicts the programme's rules is in schemas/rule_conflicts.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from schemas.agreement import Agreement
from schemas.alias_conflicts import alias_conflicts
from schemas.allowances import Exclusion, Trial
from schemas.catalogue_pieces import Pieces
from schemas.catalogue_text import Fault
from schemas.identity import canonical
from schemas.parts import overlap
from schemas.rule_conflicts import rule_conflicts
from schemas.rules import Rule
from schemas.source_conflicts import source_conflicts
from schemas.ssh import read_signer

if TYPE_CHECKING:
    from schemas.catalogue import Sku


def contradictions(p: Pieces) -> Iterator[Fault]:
    yield from _doubles(p)
    yield from _references(p)
    yield from _validities(p)
    yield from _agreements(p)
    yield from _approvals(p)
    yield from _allowances(p)
    yield from alias_conflicts(p)
    yield from source_conflicts(p)
    yield from rule_conflicts(p)


def _doubles(p: Pieces) -> Iterator[Fault]:
    yield from _repeated("tenants", "id", {i: t.id for i, t in p.tenants.items()})
    yield from _repeated("skus", "id", {i: s.id for i, s in p.skus.items()})
    yield from _repeated("products", "product", {i: (x.source, x.product) for i, x in p.products.items()})
    yield from _repeated("rules", "id", {i: r.id for i, r in p.rules.items()})
    owner: dict[str, str] = {}
    for i, tenant in p.tenants.items():
        for j, domain in enumerate(tenant.domains):
            other = owner.setdefault(canonical(domain), tenant.id)
            if other != tenant.id:
                yield ("tenants", i, "domains", j), f"{domain!r} belongs to {other!r} already; a domain has one tenant"


def _repeated(part: str, key: str, values: Mapping[int, Any]) -> Iterator[Fault]:
    first: dict[Any, int] = {}
    for i, value in values.items():
        if first.setdefault(value, i) != i:
            yield (part, i, key), f"{value!r} stands twice (first as {part}[{first[value]}]); keep one"


def _references(p: Pieces) -> Iterator[Fault]:
    # Where a name stands, which part it must lead to, and the name.
    named: list[tuple[tuple[str | int, ...], str, str | None]] = [
        *((("skus", i, "programme"), "programmes", s.programme) for i, s in p.skus.items()),
        *((("products", i, "sku"), "skus", x.sku) for i, x in p.products.items()),
        *((("products", i, "tenant"), "tenants", x.tenant) for i, x in p.products.items()),
        *((("agreements", i, "programme"), "programmes", a.programme) for i, a in p.agreements.items()),
        *((("rules", i, "programme"), "programmes", r.programme) for i, r in p.rules.items()),
        *((("trials", i, "tenant"), "tenants", t.tenant) for i, t in p.trials.items()),
        *((("trials", i, "sku"), "skus", t.sku) for i, t in p.trials.items()),
    ]  # fmt: skip
    for i, agreement in p.agreements.items():
        named += ((("agreements", i, "tenants", j), "tenants", t) for j, t in enumerate(agreement.tenants))
    for part, entries in (("exclusions", p.exclusions), ("free_users", p.free_users)):
        named += (((part, i, "tenant"), "tenants", e.tenant) for i, e in entries.items())
        named += (((part, i, "skus", j), "skus", s) for i, e in entries.items() for j, s in enumerate(e.skus))
    for path, part, id in named:
        if what := p.unknown(part, id):
            yield path, what


def _validities(p: Pieces) -> Iterator[Fault]:
    dated: list[tuple[str, Mapping[int, Sku] | Mapping[int, Agreement] | Mapping[int, Rule] | Mapping[int, Exclusion]]]
    dated = [
        ("skus", p.skus), ("agreements", p.agreements), ("rules", p.rules), ("exclusions", p.exclusions),
        ("free_users", p.free_users),
    ]  # fmt: skip
    for part, entries in dated:
        for i, entry in entries.items():
            start, end = entry.validity
            if start and end and end <= start:
                yield (part, i, "valid_to"), (
                    f"{end} is the first day out, so it must lie after {start}; mend one of them"
                )


def _agreements(p: Pieces) -> Iterator[Fault]:
    """An id is one agreement, and within a programme a tenant has one agreement a month."""
    for i, agreement in p.agreements.items():
        if agreement.id in p.ids["programmes"] - {agreement.programme}:
            yield ("agreements", i, "id"), (
                f"{agreement.id!r} is another programme's id, under which that reports what no agreement covers; "
                "choose another id"
            )
        if "form" in agreement.forms and agreement.form is None:
            yield ("agreements", i, "forms"), "has `form` but no form to fill; name the XLSX file in `form`"
        yield from (
            (("agreements", i, "tenants", j), f"{tenant!r} stands twice here; keep one")
            for j, tenant in enumerate(agreement.tenants)
            if tenant in agreement.tenants[:j]
        )
    for (i, one), (j, other) in combinations(p.agreements.items(), 2):
        if one.id == other.id and one.programme != other.programme:
            yield ("agreements", j, "id"), f"{other.id!r} is agreements[{i}] of another programme; choose another id"
        elif one.programme != other.programme or not overlap(one.validity, other.validity):
            continue
        elif one.id == other.id:
            yield ("agreements", j, "id"), (
                f"{other.id!r} stands twice for the same months (first as agreements[{i}]); keep one, or end the "
                "first with valid_to where this begins"
            )
        elif not one.tenants and not other.tenants:
            yield ("agreements", j), (
                f"{other.id!r} and {one.id!r} (agreements[{i}]) both have all tenants that no other names, in the "
                "same months; name the tenants of one, or end it with valid_to"
            )
        else:
            for k, tenant in enumerate(other.tenants):
                if tenant in one.tenants:
                    yield ("agreements", j, "tenants", k), (
                        f"{tenant!r} is covered by {one.id!r} (agreements[{i}]) in the same months; a tenant has one "
                        "agreement of a programme, so take it out of one, or end that with valid_to"
                    )


def _approvals(p: Pieces) -> Iterator[Fault]:
    for i, agreement in p.agreements.items():
        approval = agreement.approval
        if approval.by != "ssh-signature":
            continue
        if not approval.allowed_signers:
            yield ("agreements", i, "approval", "by"), (
                "'ssh-signature' needs allowed_signers; add a line for each approver, or approve by os-user"
            )
            continue
        signers = [read_signer(line) for line in approval.allowed_signers]
        for j, name in enumerate(approval.approvers):
            if not any(signer.speaks_for(name) for signer in signers):
                yield ("agreements", i, "approval", "approvers", j), (
                    f"{name!r} has no line in allowed_signers; add the key, or mend the name"
                )


def _allowances(p: Pieces) -> Iterator[Fault]:
    fold = {t.id: t.fold_case for t in p.tenants.values()}
    same: dict[Any, list[tuple[str, int, Exclusion]]] = defaultdict(list)
    lists: list[tuple[str, Mapping[int, Exclusion], Sequence[str] | None]] = [
        ("exclusions", p.exclusions, p.reasons.exclusions if p.reasons else None),
        ("free_users", p.free_users, p.reasons.free_users if p.reasons else None),
    ]
    for part, entries, reasons in lists:
        for i, entry in entries.items():
            if reasons is not None and entry.reason not in reasons:
                yield (part, i, "reason"), (
                    f"{entry.reason!r} is none of {', '.join(reasons)}; choose one, or add it under reasons.{part}"
                )
            if entry.subject is not None and entry.pattern is not None:
                yield (part, i, "pattern"), "stands beside subject; keep one of them"
                continue
            name = entry.subject if entry.subject is not None else entry.pattern
            if name is None:
                yield (part, i), "names nobody; add subject, or pattern with * and ?"
                continue
            key = (entry.tenant, entry.subject is None, canonical(name, fold.get(entry.tenant, True)))
            same[key].append((part, i, entry))
    for found in same.values():
        for (part, i, one), (other_part, j, other) in combinations(found, 2):
            shared = not one.skus or not other.skus or set(one.skus) & set(other.skus)
            if shared and overlap(one.validity, other.validity):
                yield (other_part, j), (
                    f"{other.subject or other.pattern!r} of {other.tenant!r} is left out twice for the same days "
                    f"(first by {part}[{i}]); keep one, or let their validities follow each other"
                )
    trials: dict[tuple[str, str], list[tuple[int, Trial]]] = defaultdict(list)
    for i, trial in p.trials.items():
        trials[trial.tenant, trial.sku].append((i, trial))
    for series in trials.values():
        for (i, first), (j, second) in combinations(series, 2):
            if overlap(first.validity, second.validity):
                yield ("trials", j), (
                    f"{second.tenant!r} tries {second.sku!r} on the same days already (trials[{i}]); keep one"
                )
