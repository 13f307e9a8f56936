"""What stands on the printed report, in its language's words and figures; the layout is report.typ's. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from schemas.agreement import Party
from schemas.report import Finding, Line, Quantities, Report, RuleCited, Standing
from stream_jobs.month_close.forms.words import Words

QUANTITIES = ("measured", "excluded", "trial", "free", "adjusted", "shortfall", "reported")
# From so many lines on, several share a row of the table, if no SKU is longer than its column.
_MANY, _TOGETHER, _LONGEST = 1000, 5, 32


def page(report: Report, words: Words, standing: Standing, stored: bytes) -> dict[str, Any]:
    """Texts and rows of texts, by the place where they stand. A section without rows is left out by the layout."""
    w, correction = words, report.correction
    return {
        "language": w.language,
        "date": _date(report, standing),
        "mark": w.mark(standing.state),
        "title": w("title.correction" if correction else "title.report"),
        "subtitle": w.month(report.month),
        "from": _party(report.partner, w, "label.from"),
        "to": _party(report.distributor, w, "label.to"),
        "facts": _facts(report, w, standing),
        "zero": w("sentence.zero", month=w.month(report.month)) if report.zero else "",
        "correction": _correction(report, w),
        "order": {
            "title": w("heading.order"),
            "head": [w("label.sku"), w("label.product"), *_quantity_heads(w)],
            "rows": [
                [s.sku, _joined(s.sku_name, s.tier and f"{w('label.tier')} {s.tier}", w("unit.instance")
                         if s.unit == "instance" else ""), *_quantities(s, w)]
                for s in report.skus
            ],
            "total": [w("label.total"), "", *_quantities(report.total, w)],
        },
        "parts": w("sentence.parts"),
        "families": {
            "title": w("heading.families"),
            "head": [w("label.family"), w("label.deployment"), *_quantity_heads(w)],
            "rows": [[f.family, w(f"deployment.{f.deployment}"), *_quantities(f, w)] for f in report.families],
            "total": [],
        },
        "rule_lines": _rule_lines(report, w),
        "adjustments": _adjustments(report, w),
        "set_aside": {
            "title": w("heading.set_aside"),
            "head": [w("label.reason"), w("label.source"), w("label.events")],
            "rows": [
                [_joined(s.reason, w("sentence.no_time") if s.of_month == "append" else ""), s.source,
                 w.number(s.events)]
                for s in report.set_aside
            ],
        },
        "findings": {
            "title": w("heading.findings"),
            "note": w("sentence.findings_are_english"),
            "rows": [_finding(f, w) for f in report.findings if f.severity != "info" or f.waived],
        },
        "approval": _approval(report, w, standing),
        "lines": {
            "title": w("heading.lines"),
            "head": [w("label.sku"), *_quantity_heads(w)],
            "tenants": _tenants(report, w),
        },
        "footer": {
            "party": f"{report.partner.name} · {report.agreement} · {w.month(report.month)}",
            "digests": [
                [w("label.seal_digest"), report.seal.digest],
                [w("label.report_sha256"), hashlib.sha256(stored).hexdigest()],
            ],
            "page": w("sentence.page", page="\u0001", pages="\u0002"),
        },
    }  # fmt: skip


def _date(report: Report, standing: Standing) -> list[int]:
    """The document's own date: of the approval, of the draft, or else the month's first day. No clock."""
    text = standing.approved_at or standing.prepared_at or f"{report.month:%Y-%m-%d}"
    return [int(part) for part in text[:10].split("-")]


def _party(party: Party, w: Words, label: str) -> dict[str, Any]:
    number = [w("label.number", number=party.number)] if party.number else []
    return {"label": w(label), "name": party.name, "lines": [*party.address, *number]}


def _facts(report: Report, w: Words, standing: Standing) -> list[list[str]]:
    facts = [
        ("agreement", report.agreement),
        ("month", w.month(report.month)),
        ("purchase_order", report.purchase_order or ""),
        ("due", w.day(report.due.day)),
        ("revision", revision_of(report, w, standing)),
        ("state", w(f"state.{standing.state}")),
        ("programme", f"{report.programme} · {report.channel}"),
        ("contract_date", w.day(report.contract_date) if report.contract_date else ""),
        ("time_zone", report.time_zone),
        ("seal", w("sentence.seal", revision=report.seal.revision, close=report.seal.close_number,
                   catalogue=report.seal.catalogue_version)),
        ("aliases", w(f"aliases.{report.seal.exclusions_hit}") if report.seal.exclusions_hit else ""),
    ]  # fmt: skip
    return [[w(f"label.{name}"), text] for name, text in facts if text]


def revision_of(report: Report, w: Words, standing: Standing) -> str:
    """With the draft's number for as long as it is one."""
    key = "draft" if standing.state in ("open", "draft") else "revision"
    return w(f"sentence.{key}", revision=report.revision, draft=report.draft)


def _correction(report: Report, w: Words) -> dict[str, Any]:
    correction = report.correction
    if correction is None:
        return {}
    names = {line.tenant: line.tenant_name for line in report.lines}
    return {
        "title": w("heading.correction"),
        "text": w("sentence.corrects", revision=report.revision, before=correction.of_revision,
                  reason=correction.reason),
        "none": "" if correction.differences else w("sentence.nothing_changes"),
        "head": [w(f"label.{name}") for name in ("customer", "sku", "before", "after", "difference")],
        "rows": [
            [names.get(d.tenant) or d.tenant or "–", d.sku, w.number(d.before), w.number(d.after),
             w.signed(d.after - d.before)]
            for d in correction.differences
        ],
    }  # fmt: skip


def _rule_lines(report: Report, w: Words) -> list[str]:
    """The rules that lines without a customer come from, once each."""
    cited = {line.rule.id: line.rule for line in report.lines if line.rule}
    return [w("sentence.rule_line", id=rule.id, source=rule.source) for rule in cited.values()]


def _adjustments(report: Report, w: Words) -> dict[str, Any]:
    heads = ("customer", "sku", "quantity", "reason", "explanation", "actor")
    return {
        "title": w("heading.adjustments"),
        "head": [w(f"label.{name}") for name in heads],
        "rows": [[a.tenant, a.sku, w.signed(a.quantity), a.reason, a.text, a.actor] for a in report.adjustments],
    }


def _finding(finding: Finding, w: Words) -> dict[str, str]:
    waived = finding.waived
    return {
        "severity": finding.severity,
        "label": w(f"severity.{finding.severity}"),
        "kind": w.kind(finding.kind),
        "text": finding.text,
        "rule": _cited(finding.rule, w),
        "waived": w("sentence.waived", actor=waived.actor, text=waived.text, reason=waived.reason) if waived else "",
    }


def _cited(rule: RuleCited | None, w: Words) -> str:
    return w("sentence.cited", id=rule.id, source=rule.source) if rule else ""


def _approval(report: Report, w: Words, standing: Standing) -> dict[str, Any]:
    def when(text: str) -> str:
        return w.moment(text, report.time_zone)

    rows = [
        [w("label.prepared"), standing.prepared_by, when(standing.prepared_at)],
        [w("label.approved"), standing.approved_by or w("sentence.not_approved"), when(standing.approved_at)],
        [w("label.how"), w(f"how.{standing.approved_how}") if standing.approved_how else "", ""],
        [w("label.submitted"), when(standing.submitted_at), ""],
        [w("label.receipt"), standing.receipt, ""],
    ]
    return {
        "title": w("heading.approval"), "approved": bool(standing.approved_by), "zone": report.time_zone,
        "rows": [row for row in rows if row[1]],
    }  # fmt: skip


def _tenants(report: Report, w: Words) -> list[dict[str, Any]]:
    """The lines, grouped by customer in the report's order; those of a rule under no customer, last.

    A row is the texts of its cells, with a line of text for each of its lines.
    """
    fits = max((len(line.sku) for line in report.lines), default=0) <= _LONGEST
    together = _TOGETHER if len(report.lines) > _MANY and fits else 1
    groups: dict[str, list[Line]] = {}
    for line in report.lines:
        groups.setdefault(line.tenant, []).append(line)
    return [
        {
            "name": held[0].tenant_name or w("label.rule"), "id": tenant,
            "rows": [_cells(held[at : at + together], w) for at in range(0, len(held), together)],
        }
        for tenant, held in groups.items()
    ]  # fmt: skip


def _cells(lines: Sequence[Line], w: Words) -> list[str]:
    rows = [[line.sku, *_quantities(line, w)] for line in lines]
    return ["\n".join(column) for column in zip(*rows, strict=True)]


def _quantity_heads(w: Words) -> list[str]:
    return [w(f"label.{name}") for name in QUANTITIES]


def _quantities(q: Quantities, w: Words) -> list[str]:
    middle = [w.quantity(q.excluded), w.quantity(q.trial), w.quantity(q.free), w.signed(q.adjusted)]
    return [w.number(q.measured), *middle, w.quantity(q.shortfall), w.number(q.reported)]


def _joined(*texts: str) -> str:
    return " · ".join(text for text in texts if text)
