"""What a new catalogue version may not change without a word: months that are sealed."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.amendment import changes_of_sealed
from schemas.catalogue import parse_catalogue

OLD = """\
programmes:
  jp: {time_zone: Asia/Tokyo}
  nl: {time_zone: Europe/Amsterdam}
tenants:
  - {id: a, name: A}
  - {id: b, name: B}
skus:
  - {id: S, name: S, programme: jp, family: F, deployment: cloud}
  - {id: N, name: N, programme: nl, family: F, deployment: cloud}
agreements:
  - id: jp-1
    programme: jp
    partner: {name: P}
    distributor: {name: D}
    contract_date: 2025-01-10
    tenants: [a]
    purchase_order: PO-1
  - id: nl-1
    programme: nl
    partner: {name: P}
    distributor: {name: E}
    contract_date: 2025-01-10
rules:
  - {id: least, kind: family_minimum, quantity: 25, valid_from: 2025-01, source: guide}
trials:
  - {tenant: a, sku: S, start: 2025-03-20}
exclusions:
  - {tenant: a, pattern: adm*, reason: administration, valid_from: 2025-02-10}
free_users:
  - {tenant: b, subject: x, reason: own-staff}
aliases:
  - {tenant: a, same: [old@a.example, new@a.example], reason: renamed}
"""
SEALED = [(date(2025, m, 1), agreement) for m in (1, 2, 3) for agreement in ("jp-1", "jp")]
"""nl has no sealed month; jp is what jp-1 does not cover: tenant b."""


def changes(*pairs: tuple[str, str], sealed: list[tuple[date, str]] = SEALED) -> list[str]:
    text = OLD
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return changes_of_sealed(parse_catalogue(OLD), parse_catalogue(text), sealed)


RULE = "  - {id: least, kind: family_minimum, quantity: 25, valid_from: 2025-01, source: guide}\n"
ENDED = RULE.replace("source", "valid_to: 2025-04, source")
NEXT = "  - {id: more, kind: family_minimum, quantity: 30, valid_from: 2025-04, source: letter}\n"
JP_1 = "    purchase_order: PO-1\n"
SECOND = "  - {id: jp-2, programme: jp, partner: {name: P}, distributor: {name: D}, contract_date: 2025-01-01%s}\n"

ALLOWED = {
    "nothing": [],
    "a rule ended where the open months begin, and another": [(RULE, ENDED + NEXT)],
    "a rule for months to come": [
        ("rules:\n", "rules:\n  - {id: z, kind: zero_report, valid_from: 2025-04, source: g}\n")
    ],
    "a rule of a programme without sealed months": [
        ("rules:\n", "rules:\n  - {id: z, kind: zero_report, programme: nl, valid_from: 2025-01, source: g}\n")
    ],
    "how a report is approved and sent": [
        (JP_1, "    purchase_order: PO-2\n    language: ja\n    submission: {by: folder, folder: out}\n"
         "    contacts: [{name: Bob, email: bob@provider.example, role: approver}]\n    approval: {approvers: [bob]}\n")
    ],
    "an agreement ended later": [(JP_1, JP_1 + "    valid_to: 2025-04\n")],
    "an agreement from the open months on": [("  - id: nl-1\n", SECOND % ", valid_from: 2025-04" + "  - id: nl-1\n")],
    "a new tenant, a new SKU": [
        ("  - {id: b, name: B}\n", "  - {id: b, name: B}\n  - {id: c, name: C}\n"),
        ("skus:\n", "skus:\n  - {id: T, name: T, programme: jp, family: G, deployment: cloud}\n"),
    ],
    "an exclusion ended later, and followed": [
        ("valid_from: 2025-02-10}\n", "valid_from: 2025-02-10, valid_to: 2025-04-03}\n"
         "  - {tenant: a, pattern: adm*, reason: evaluation, valid_from: 2025-04-03}\n")
    ],
    "an exclusion for the SKUs of another programme": [
        ("exclusions:\n", "exclusions:\n  - {tenant: a, subject: y, skus: [N], reason: evaluation}\n")
    ],
    "a trial whose sealed days stay": [("start: 2025-03-20}", "start: 2025-03-20, days: 14}")],
    "an alias ended later": [("reason: renamed", "reason: renamed, to_month: 2025-04")],
    "an alias from the open months on, and a policy": [
        ("aliases:\n", "aliases:\n  - {tenant: a, same: [p, q], from_month: 2025-04, reason: r}\n"),
        ("{id: a, name: A}", "{id: a, name: A, alias_policy: {identities: apply, from_month: 2025-04}}"),
    ],
    "another spelling of an alias": [("new@a.example]", "NEW@a.example]"), ("reason: renamed", "reason: told")],
    "another order": [("trials:\n  - {tenant: a, sku: S, start: 2025-03-20}\n", ""),
                      ("free_users:\n", "trials:\n  - {sku: S, tenant: a, start: 2025-03-20}\nfree_users:\n")],
}  # fmt: skip


@pytest.mark.parametrize("case", ALLOWED)
def test_what_concerns_months_to_come_passes_silently(case: str) -> None:
    assert changes(*ALLOWED[case]) == []


REFUSED = {
    "another quantity": ([("quantity: 25", "quantity: 30")], [
        "jp 2025-01 to 2025-03 is sealed, and rule least is another there: leave it as it was, end it with valid_to: "
        "2025-04, and add another from 2025-04 on",
        "jp-1 2025-01 to 2025-03 is sealed, and rule least is another there: leave it as it was, end it with valid_to: "
        "2025-04, and add another from 2025-04 on",
    ]),
    "a rule ended too early": ([(RULE, ENDED.replace("2025-04", "2025-03"))], [
        "jp 2025-03 is sealed, and rule least is gone there: put it back, ended with valid_to: 2025-04",
        "jp-1 2025-03 is sealed, and rule least is gone there: put it back, ended with valid_to: 2025-04",
    ]),
    "a rule that begins too early": (
        [("rules:\n", "rules:\n  - {id: z, kind: zero_report, programme: jp, valid_from: 2025-03, source: g}\n")],
        ["jp 2025-03 is sealed, and rule z is new there: let it begin with valid_from: 2025-04 (a trial: start)",
         "jp-1 2025-03 is sealed, and rule z is new there: let it begin with valid_from: 2025-04 (a trial: start)"],
    ),
    "another distributor": (
        [("distributor: {name: D}", "distributor: {name: X}")],
        ["jp-1 2025-01 to 2025-03", "to whom is another"],
    ),
    "another tenant": ([("tenants: [a]", "tenants: [a, b]")], ["jp 2025-01 to 2025-03", "jp-1 2025-01 to 2025-03"]),
    "the rest given away": (
        [("  - id: nl-1\n", SECOND % "" + "  - id: nl-1\n")],
        ["jp 2025-01 to 2025-03 is sealed, and what"],
    ),
    "a trial longer in sealed days": (
        [("start: 2025-03-20}", "start: 2025-03-20, days: 5}")],
        ["jp-1 2025-03 is sealed, and the trial of S by a is another"]
    ),
    "a trial that begins earlier": (
        [("start: 2025-03-20}", "start: 2025-02-25}")],
        ["jp-1 2025-02", "trial of S by a is new", "jp-1 2025-03", "is another"]
    ),
    "another day of an exclusion": (
        [("2025-02-10", "2025-02-11")],
        ["jp-1 2025-02 is sealed, and exclusion 'adm*' of a is another"],
    ),
    "another reason": (
        [("reason: administration", "reason: evaluation")],
        ["jp-1 2025-02 to 2025-03 is sealed, and exclusion"],
    ),
    "an alias ended too early": ([("reason: renamed", "reason: renamed, to_month: 2025-03")], [
        "jp-1 2025-03 is sealed, and the alias of 'new@a.example', 'old@a.example' of a is gone there: put it back, "
        "ended with to_month: 2025-04",
    ]),
    "an alias of sealed months": (
        [("aliases:\n", "aliases:\n  - {tenant: a, same: [p, q], from_month: 2025-02, reason: r}\n")],
        ["jp-1 2025-02 to 2025-03 is sealed, and the alias of 'p', 'q' of a is new there: let it begin with "
         "from_month: 2025-04"],
    ),
    "one more name of a person": ([("new@a.example]", "new@a.example, third]")], [
        "the alias of 'new@a.example', 'old@a.example' of a is gone",
        "the alias of 'new@a.example', 'old@a.example', 'third' of a is new",
    ]),
    "events that are to merge in sealed months": (
        [("{id: a, name: A}", "{id: a, name: A, alias_policy: {identities: apply, from_month: 2025-03}}")],
        ["jp-1 2025-03 is sealed, and the alias policy of a is new there: let it begin with from_month: 2025-04"],
    ),
    "whether case tells people apart": (
        [("{id: a, name: A}", "{id: a, name: A, fold_case: false}")],
        ["jp-1 2025-01 to 2025-03 is sealed, and fold_case of a is another there: leave it as it was: it holds for"],
    ),
    "a domain that is cut off in sealed months": (
        [("{id: a, name: A}", "{id: a, name: A, truncate_domain: 2025-03}")],
        ["jp-1 2025-03 is sealed, and truncate_domain of a is another there: let it begin with 2025-04"],
    ),
    "whom an exclusion hits": (
        [("aliases:\n", "exclusions_hit: identity\naliases:\n")],
        ["jp-1 2025-01 to 2025-03 is sealed, and", "leave it as it was: it holds for every month"],
    ),
    "a free user of what no agreement covers": ([("subject: x", "subject: y")], [
        "jp 2025-01 to 2025-03 is sealed, and free user 'x' of b is gone there",
        "jp 2025-01 to 2025-03 is sealed, and free user 'y' of b is new there",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_sealed_month_would_lose_is_named_with_its_cure(case: str) -> None:
    pairs, words = REFUSED[case]
    found = changes(*pairs)
    said = "\n".join(found)
    assert all(word in said for word in words), said
    assert all(": " in sentence for sentence in found)
    assert "nl" not in said, "its months are open"


def test_an_agreement_that_another_version_took_out_is_let_alone() -> None:
    assert changes(("quantity: 25", "quantity: 30"), sealed=[(date(2025, 1, 1), "old-agreement")]) == []
