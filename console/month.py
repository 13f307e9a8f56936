"""`rollcall counts`, `close`, `verify`, `explain`: a month's numbers, sealed, checked and shown."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from console.arguments import month_of
from console.output import Format, show, tell
from console.reporting import agreements_of, now
from infra.clickhouse.client import connect, explained
from infra.errors import CheckFailed
from infra.lookups import Asker
from schemas.calendar import month_name, next_month
from schemas.close import Count
from schemas.settings import load_settings
from stream_jobs.month_close.aliases.resolve import links_seen, resolve_again
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.count import live_counts, months_with_logins, sealed_counts
from stream_jobs.month_close.explain import explain as explain_cell
from stream_jobs.month_close.report.draft import draft_all
from stream_jobs.month_close.report.who import account
from stream_jobs.month_close.rules.sources import why_unanswered, why_unread
from stream_jobs.month_close.seal import seals
from stream_jobs.month_close.verify import verify_month

COUNTS = ("month", "tenant", "sku", "active_users")
Month = Annotated[str, Parameter(help="YYYY-MM")]


def counts(month: Month, /, *, revision: int | None = None, format: Format = "table") -> None:
    """Show the active users of a month per tenant and SKU, as known now, or as sealed in a revision."""
    settings, first = load_settings(), month_of(month)
    client = connect(settings)
    with explained(settings.clickhouse):
        if revision is None and links_seen(client):
            resolve_again(settings, client, first, (first, next_month(first)))
        found = live_counts(client, first) if revision is None else sealed_counts(client, first, revision)
        if not found and revision is None:
            _unknown(month, [month_name(m) for m in months_with_logins(client)])
    show(format, COUNTS, _rows(found))


def close(
    month: Month, /, *, agreement: str | None = None,
    drain: Annotated[bool, Parameter(negative="", help="run a worker until it has caught up")] = False,
    format: Format = "table",
) -> int:  # fmt: skip
    """Close a month: every login that Kafka acknowledged before now is counted, sealed, and digested.

    Without --agreement every agreement is closed, a seal each. Closing an unchanged month again returns the same
    revision. Each seal's report is drafted.
    """
    settings, first = load_settings(), month_of(month)
    results = close_month(settings, first, agreement=agreement, drain=drain, tell=tell)
    show(format, COUNTS, sorted(row for result in results for row in _rows(result.counts)))
    drafts = draft_all(settings, connect(settings), first, results, actor=account(), at=now(), tell=tell)
    seen = {source.source: source for draft in drafts for source in draft.sources}
    for name, source in sorted(seen.items()):
        for why in filter(None, (why_unanswered(source), why_unread(source))):
            tell(f"source {name} {why}")
    if drafts:
        several = len(agreements_of(settings, connect(settings), first)) > 1
        named = f" --agreement {drafts[0].agreement}" if several else ""
        tell(f"next: rollcall report {'diff' if drafts[0].revision > 1 else 'show'} {month}{named}")
    return 1 if any(result.outcome == "refused" for result in results) else 0


def verify(
    month: Month, /, *, format: Format = "table", agreement: str | None = None,
    lines: Annotated[bool, Parameter(negative="", help="print the lines that the newest seals digest, only")] = False,
) -> int:  # fmt: skip
    """Hold every seal of a month against its digest, and the newest against the table, both ways."""
    settings, first = load_settings(), month_of(month)
    if lines:
        with explained(settings.clickhouse):
            newest = {s.agreement: s for s in seals(connect(settings), first) if agreement in (None, s.agreement)}
        for seal in newest.values():
            sys.stdout.writelines(f"{c.tenant},{c.sku},{c.active_users},{c.digest}\n" for c in seal.counts)
        return 0
    results = [r for r in verify_month(settings, first) if agreement in (None, r.agreement)]
    show(
        format,
        ("month", "agreement", "revision", "close", "active_users", "digest", "holds"),
        [
            (month, r.agreement, c.revision, c.close_number, c.active_users, c.digest, "yes" if not c.faults else "NO")
            for r in results
            for c in r.revisions
        ],
    )
    for result in results:
        for check in result.revisions:
            if check.alias_version:
                tell(f"{result.agreement} revision {check.revision}: counted by aliases {check.alias_version}")
            for fault in check.faults:
                tell(f"{result.agreement} revision {check.revision}: {fault}")
        if result.missing or result.extra:
            tell(
                f"{result.agreement}: {result.missing} subjects are in the table but not in the newest seal, "
                f"{result.extra} in the seal but not in the table"
            )
        for example in result.examples:
            tell(f"  {example.kind}: {example.tenant} {example.sku} {example.subject}")
    return 0 if all(result.holds for result in results) else 1


def explain(
    month: Month, tenant: str, sku: str, subject: str | None = None, /, *,
    all: Annotated[bool, Parameter(negative="", help="also those that are left out, with the reason")] = False,
    names: Annotated[bool, Parameter(negative="", help="say who they are; needs the right to, and is kept")] = False,
    reason: Annotated[str, Parameter(help="why names are looked at; kept with it")] = "",
    format: Format = "table",
) -> None:  # fmt: skip
    """Show who is behind a number: the counted subjects (pseudonyms), each with its first login (UTC)."""
    explanation = explain_cell(
        load_settings(), month_of(month), tenant, sku, subject, everybody=all,
        names=Asker(account(), "explain", reason) if names else None,
    )
    seal = explanation.seal
    if seal is None:
        tell(f"{month} {tenant} {sku}: not closed yet, as of now")
    else:
        cell = next((c for c in seal.counts if (c.tenant, c.sku) == (tenant, sku)), None)
        sealed = f"{cell.active_users} active users, digest {cell.digest}" if cell else "no active user"
        tell(f"{month} {tenant} {sku}: as sealed in revision {seal.revision}: {sealed}")
        for part in seal.left_out:
            if (part.tenant, part.sku) == (tenant, sku):
                reason = f"{part.kind} {part.reason}".strip()
                tell(f"{month} {tenant} {sku}: left out: {part.subjects} {reason}" + ("" if all else " (--all)"))
    if explanation.aliases:
        tell(f"{month} {tenant} {sku}: names of one person count once, by aliases {explanation.aliases}")
    more = {"reason": all, "name": names, "identities": bool(explanation.aliases)}
    columns = ("subject", "first_login", "source", "id", *(column for column, asked in more.items() if asked))
    rows = (
        [" ".join(value) if isinstance(value := getattr(subject, column), list) else value for column in columns]
        for page in explanation.pages for subject in page
    )  # fmt: skip
    show(format, columns, rows)


def _rows(found: list[Count]) -> list[tuple[str, str, str, int]]:
    return [(month_name(c.month), c.tenant, c.sku, c.active_users) for c in found]


def _unknown(month: str, known: list[str]) -> None:
    span = f"logins are stored for {', '.join(known[-12:])}" if known else "no login is stored at all"
    raise CheckFailed(f"no login of {month} is stored; {span}. Is the worker running (`rollcall worker --drain`)?")
