"""What another version of the catalogue would change of months that are sealed.

A programme's rules change for months to come; a month that is closed keeps the rules, agreements and allowances that it
was closed by. Entries are compared by what they say of a month, so that one which is ended later says the same of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple, TypeVar

from schemas.agreement import Agreement
from schemas.allowances import Exclusion
from schemas.calendar import month_name, next_month
from schemas.catalogue import Catalogue, rules_in_force
from schemas.identity import canonical
from schemas.parts import Part, Validity, covers, overlap

P = TypeVar("P", bound=Part)
EXCLUSIONS_HIT = "exclusions_hit"
_FOLD, _TRUNCATE = "fold_case of ", "truncate_domain of "


class Scope(NamedTuple):
    """What an agreement covers of a month: SKUs of a programme, of the `named` tenants, or with `others` of all but."""

    programme: str
    named: frozenset[str]
    others: bool

    def has(self, tenant: str) -> bool:
        return (tenant in self.named) != self.others


def changes_of_sealed(old: Catalogue, new: Catalogue, sealed: Iterable[tuple[date, str]]) -> list[str]:
    """A sentence, with the cure, for each entry that says something else of a sealed month.

    `sealed` has the months (first days) and agreements that are sealed. What may change at any time is how a report
    is approved and sent: contacts, approval, submission, reminders, forms, purchase order, what silent sources do.
    """
    before, after = _only_in(old, new), _only_in(new, old)
    months: dict[tuple[str, str, str], list[date]] = defaultdict(list)
    last: dict[str, date] = {}
    for month, agreement in sorted(sealed):
        last[agreement] = month
        scope = _scope(old, agreement, month)
        if scope is None:  # an earlier version took it out
            continue
        was, now = _facts(before, scope, month), _facts(after, scope, month)
        was |= _spelling(old, new, scope, month)
        now |= _spelling(new, old, scope, month)
        was["what it reports to whom"] = {(scope, _terms(old, agreement, month))}
        now["what it reports to whom"] = {(_scope(new, agreement, month), _terms(new, agreement, month))}
        for entry in sorted(was.keys() | now.keys()):
            if was.get(entry) != now.get(entry):
                what = "is gone" if entry not in now else "is new" if entry not in was else "is another"
                months[agreement, entry, what].append(month)
    return [_sentence(*key, found, last[key[0]]) for key, found in months.items()]


def _sentence(agreement: str, entry: str, what: str, months: Sequence[date], last: date) -> str:
    first, end = month_name(months[0]), month_name(months[-1])
    free = month_name(next_month(last))
    begin, until = ("from_month", "to_month") if entry.startswith("the alias") else ("valid_from", "valid_to")
    cure = {
        "is gone": f"put it back, ended with {until}: {free}",
        "is new": f"let it begin with {begin}: {free}" + (" (a trial: start)" if begin == "valid_from" else ""),
        "is another": f"leave it as it was, end it with {until}: {free}, and add another from {free} on",
    }[what]
    if entry.startswith(_TRUNCATE):
        cure = f"let it begin with {free}, or leave it as it was"
    if entry == EXCLUSIONS_HIT or entry.startswith(_FOLD):
        cure = "leave it as it was: it holds for every month"
    span = first if first == end else f"{first} to {end}"
    return f"{agreement} {span} is sealed, and {entry} {what} there: {cure}"


def _only_in(one: Catalogue, other: Catalogue) -> Catalogue:
    """`one` with only those rules and allowances that the other has not to the letter."""

    def left(entries: Sequence[P], others: Sequence[P]) -> list[P]:
        known = {entry.model_dump_json() for entry in others}
        return [entry for entry in entries if entry.model_dump_json() not in known]

    return one.model_copy(
        update={
            "rules": [r for r in one.rules if r not in other.rules],
            "trials": left(one.trials, other.trials),
            "exclusions": left(one.exclusions, other.exclusions),
            "free_users": left(one.free_users, other.free_users),
            "aliases": left(one.aliases, other.aliases),
        }
    )


def _facts(catalogue: Catalogue, scope: Scope, month: date) -> dict[str, set[object]]:
    """What the entries say of the month, by the name under which a person finds them."""
    found: dict[str, set[object]] = defaultdict(set)
    for rule in rules_in_force(catalogue, scope.programme, month):
        found[f"rule {rule.id}"].add(rule.model_dump_json(exclude={"valid_from", "valid_to", "programme"}))
    skus = {s.id for s in catalogue.skus if s.programme == scope.programme}
    for trial in catalogue.trials:
        if scope.has(trial.tenant) and trial.sku in skus and (days := _clipped(trial.validity, month)):
            found[f"the trial of {trial.sku} by {trial.tenant}"].add(days)
    found[EXCLUSIONS_HIT].add(catalogue.exclusions_hit)
    folded = {tenant.id: tenant.fold_case for tenant in catalogue.tenants}
    for alias in catalogue.aliases:
        if scope.has(alias.tenant) and covers(*alias.validity, month):
            names = sorted({canonical(name, folded.get(alias.tenant, True)) for name in alias.same})
            found[f"the alias of {', '.join(map(repr, names))} of {alias.tenant}"].add(True)
    for tenant in catalogue.tenants:
        if scope.has(tenant.id) and tenant.alias_policy.applies(month):
            found[f"the alias policy of {tenant.id}"].add(True)
    for part, entries in (("exclusion", catalogue.exclusions), ("free user", catalogue.free_users)):
        for entry, days in _in_month(entries, scope, month):
            theirs = frozenset(skus & set(entry.skus)) if entry.skus else None
            if theirs is None or theirs:
                name = entry.subject or entry.pattern
                found[f"{part} {name!r} of {entry.tenant}"].add((entry.subject is None, theirs, entry.reason, days))
    return dict(found)


def _spelling(catalogue: Catalogue, other: Catalogue, scope: Scope, month: date) -> dict[str, set[object]]:
    """Which spellings are one subject, of the tenants that both versions have."""
    found: dict[str, set[object]] = {}
    both = {tenant.id for tenant in other.tenants}
    for tenant in catalogue.tenants:
        if scope.has(tenant.id) and tenant.id in both:
            found[f"{_FOLD}{tenant.id}"] = {tenant.fold_case}
            found[f"{_TRUNCATE}{tenant.id}"] = {tenant.truncates(month)}
    return found


def _in_month(entries: Iterable[Exclusion], scope: Scope, month: date) -> Iterator[tuple[Exclusion, Validity]]:
    for entry in entries:
        if scope.has(entry.tenant) and (days := _clipped(entry.validity, month)):
            yield entry, days


def _clipped(validity: Validity, month: date) -> Validity | None:
    """The days of the month that are in it."""
    whole = (month, next_month(month))
    if not overlap(validity, whole):
        return None
    return max(validity[0] or whole[0], whole[0]), min(validity[1] or whole[1], whole[1])


def _scope(catalogue: Catalogue, id: str, month: date) -> Scope | None:
    """As stream_jobs/month_close/agreements.py reads it."""
    own = _valid(catalogue, id, month)
    programme = own.programme if own else id if id in catalogue.programmes else None
    if programme is None:
        return None
    valid = [a for a in catalogue.agreements if a.programme == programme and covers(*a.validity, month)]
    if id == next((a.id for a in valid if not a.tenants), programme):
        return Scope(programme, frozenset(t for a in valid if a.id != id for t in a.tenants), True)
    return Scope(programme, frozenset(own.tenants if own else ()), False)


def _terms(catalogue: Catalogue, id: str, month: date) -> object:
    """What of an agreement is not its own affair: who reports to whom, since when, and in which channel."""
    own = _valid(catalogue, id, month)
    return own and (own.channel, own.contract_date, own.partner.name, own.distributor.name)


def _valid(catalogue: Catalogue, id: str, month: date) -> Agreement | None:
    return next((a for a in catalogue.agreements if a.id == id and covers(*a.validity, month)), None)
