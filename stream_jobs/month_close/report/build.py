"""Building a report: the pure function of a catalogue, a seal, adjustments and history.

No clock, no actor and no I/O: built twice from the same basis, a report has the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from schemas.agreement import Agreement
from schemas.catalogue import Catalogue, Sku, rules_in_force
from schemas.close import Seal
from schemas.report import Adjustment, Correction, Finding, Line, Report, SealCited, SetAside, SourceSeen, Waiver
from stream_jobs.month_close.agreements import UNKNOWN_CONTRACT
from stream_jobs.month_close.due import due_of
from stream_jobs.month_close.report.differences import differences
from stream_jobs.month_close.report.lines import cell_lines, in_order
from stream_jobs.month_close.report.totals import family_totals, sku_totals, total
from stream_jobs.month_close.rules.numbers import Numbers
from stream_jobs.month_close.rules.registry import judge

_BY_SEVERITY = ("blocking", "warning", "info")


@dataclass(frozen=True)
class Basis:
    """Everything that a report is made from.

    `catalogue` is the version that the seal cites (or the newest before it that has the programme), `retired` has the
    seal's SKUs that it no longer knows. `waivers` are this revision's, by the finding's id. `arriving` counts subjects
    of the month that are recorded behind the close. `history` holds the reports in force of earlier months of this
    agreement, ascending; only their lines and totals are read. `corrects` is the revision before, which was sent, and
    `reason` why it is corrected. `more_findings` are of kinds that others make.
    """

    catalogue: Catalogue
    agreement: Agreement
    month: date
    seal: Seal
    adjustments: Sequence[Adjustment] = ()
    waivers: Mapping[str, Waiver] = field(default_factory=dict)
    set_aside: Sequence[SetAside] = ()
    sources: Sequence[SourceSeen] = ()
    arriving: int = 0
    history: Sequence[Report] = ()
    corrects: Report | None = None
    reason: str = ""
    more_findings: Sequence[Finding] = ()
    retired: Mapping[str, Sku] = field(default_factory=dict)

    @property
    def skus(self) -> dict[str, Sku]:
        """Every SKU that is known, by id."""
        return {**self.retired, **{sku.id: sku for sku in self.catalogue.skus}}


def build(basis: Basis, revision: int, draft: int) -> Report:
    """One draft of a revision.

    Findings are in order of severity, then id; of several with one id the most severe stands. Raises CheckFailed when
    the seal has a SKU that neither the catalogue nor `retired` knows, or the catalogue lacks the programme.
    """
    agreement, month, seal, skus = basis.agreement, basis.month, basis.seal, basis.skus
    due = due_of(basis.catalogue, agreement, month)
    lines, unapplied = cell_lines(basis.catalogue, agreement, month, skus, seal, basis.adjustments)
    numbers = Numbers(
        catalogue=basis.catalogue, agreement=agreement, month=month, due=due, skus=skus, lines=tuple(lines),
        history=tuple(basis.history), set_aside=tuple(basis.set_aside), sources=tuple(basis.sources),
        arriving=basis.arriving, unapplied=tuple(unapplied),
    )  # fmt: skip
    verdict = judge(rules_in_force(basis.catalogue, agreement.programme, month), numbers)
    lines = in_order([*lines, *verdict.lines])
    return Report(
        agreement=agreement.id, month=month, revision=revision, draft=draft, programme=agreement.programme,
        time_zone=seal.time_zone, channel=agreement.channel, partner=agreement.partner,
        distributor=agreement.distributor,
        contract_date=None if agreement.contract_date == UNKNOWN_CONTRACT else agreement.contract_date,
        purchase_order=agreement.purchase_order, language=agreement.language, due=due,
        seal=SealCited(
            revision=seal.revision, close_number=seal.close_number, digest=seal.digest, generation=seal.generation,
            catalogue_version=seal.catalogue_version, key_fingerprint=seal.key_fingerprint,
            alias_version=seal.alias_version,
            exclusions_hit=basis.catalogue.exclusions_hit if seal.alias_version else None,
        ),
        lines=lines, skus=sku_totals(lines), families=family_totals(lines), total=total(lines),
        adjustments=sorted(basis.adjustments, key=lambda a: a.place),
        set_aside=sorted(basis.set_aside, key=lambda s: (s.reason, s.source, s.of_month)),
        sources=sorted(basis.sources, key=lambda s: s.source),
        findings=_findings([*verdict.findings, *basis.more_findings], basis.waivers),
        correction=_correction(basis.corrects, basis.reason, lines) if basis.corrects else None,
    )  # fmt: skip


def _findings(found: Sequence[Finding], waivers: Mapping[str, Waiver]) -> list[Finding]:
    stands: dict[str, Finding] = {}
    for finding in sorted(found, key=lambda f: (_BY_SEVERITY.index(f.severity), f.id)):
        stands.setdefault(finding.id, finding.model_copy(update={"waived": waivers.get(finding.id)}))
    return list(stands.values())


def _correction(corrects: Report, reason: str, lines: Sequence[Line]) -> Correction:
    return Correction(of_revision=corrects.revision, reason=reason, differences=differences(corrects.lines, lines))
