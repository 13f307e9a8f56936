"""A report: what an agreement reports of a month, with what it was made from. Immutable, and the same bytes each time.

Nothing in it tells when or by whom it was made (the ledger does), so that the same month read twice is the same
report. Quantities are users, or instances for SKUs counted so.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.agreement import Language, Party
from schemas.aliases import ExclusionsHit
from schemas.close import Month, Sha256
from schemas.parts import Channel, Deployment, Severity, Unit


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleCited(_Value):
    """The rule entry that a finding or a line comes from."""

    id: str
    source: str


class Quantities(_Value):
    """reported = measured - excluded - trial - free + adjusted + shortfall."""

    measured: int = Field(ge=0, description="different subjects that logged in")
    excluded: int = Field(0, ge=0)
    trial: int = Field(0, ge=0, description="0 where the programme counts trials")
    free: int = Field(0, ge=0, description="shown beside what is paid for")
    adjusted: int = Field(0, description="sum of the adjustments, signed")
    shortfall: int = Field(0, ge=0, description="added to reach a family's minimum (CSP-25)")
    reported: int = Field(description="what is paid for")

    @property
    def adds_up(self) -> bool:
        left = self.measured - self.excluded - self.trial - self.free + self.adjusted + self.shortfall
        return left == self.reported


class Line(Quantities):
    """One tenant and SKU; a shortfall line has no tenant."""

    tenant: str
    tenant_name: str
    sku: str
    sku_name: str
    family: str
    deployment: Deployment
    unit: Unit
    tier: str = Field("", description="as the catalogue has it; empty without tiers")
    rule: RuleCited | None = Field(None, description="of a shortfall line")


class SkuTotal(Quantities):
    """Over all tenants: a line of the distributor's order form."""

    sku: str
    sku_name: str
    family: str
    unit: Unit
    tier: str = ""


class FamilyTotal(Quantities):
    """Over all tenants and SKUs of a family and deployment, the roll-up of CSP-25."""

    family: str
    deployment: Deployment


class SetAside(_Value):
    """Quarantined events that may belong to the month, by reason: not counted, shown."""

    reason: str
    source: str
    events: int = Field(ge=1)
    of_month: Literal["event", "append"] = Field(description="append: the event's own time could not be read")


class SilentTime(_Value):
    """Expected from `start` to `end` (UTC), for so many minutes in all, and not heard of."""

    start: datetime
    end: datetime
    minutes: int = Field(ge=1)
    time_zone: str = Field(description="of its rhythm")


class SourceSeen(_Value):
    """What was known of a declared source that may concern the agreement, as of the close."""

    source: str
    kind: str
    silent: list[SilentTime] = []
    asked_until: datetime | None = Field(None, description="it must have told that all before is sent; null: not asked")
    complete_to: datetime | None = Field(None, description="what it has told, `asked_until` at the most; null: nothing")
    waiting: bool = Field(False, description="its newest report told of logins that waited for Kafka")

    refused: int = Field(
        0, description="records that it had not read as logins: they waited at it to be mended, or were lost"
    )

    @property
    def missed(self) -> timedelta:
        return timedelta(minutes=sum(time.minutes for time in self.silent))


class Adjustment(_Value):
    """A signed row of the ledger; never an edit of what was measured."""

    place: int = Field(ge=1, description="in the agreement's and month's ledger")
    tenant: str
    sku: str
    quantity: int
    reason: str
    text: str
    actor: str


class Waiver(_Value):
    place: int = Field(ge=1)
    reason: str
    text: str
    actor: str


class Finding(_Value):
    """Something that a person should know before saying yes. `id` is the same for the same matter in every draft."""

    id: str = Field(description="kind and what it is about, such as family_minimum:DaaS")
    kind: str = Field(description="a rule's kind, or unadjusted, uncovered, offsets_lost, silent_source …")
    severity: Severity
    text: str = Field(description="one sentence: what is so, and what to do")
    rule: RuleCited | None = None
    tenant: str = ""
    sku: str = ""
    family: str = ""
    waived: Waiver | None = None

    @property
    def blocks(self) -> bool:
        return self.severity == "blocking" and self.waived is None


class Difference(_Value):
    """One tenant's SKU that is reported otherwise than in the revision before."""

    tenant: str
    sku: str
    before: int
    after: int


class Correction(_Value):
    """What a later revision changes, and why."""

    of_revision: int = Field(ge=1)
    reason: str
    differences: list[Difference]


class SealCited(_Value):
    """The seal that was counted from."""

    revision: int = Field(ge=1)
    close_number: int = Field(ge=1)
    digest: Sha256
    generation: int = Field(ge=1)
    catalogue_version: int = Field(ge=1)
    key_fingerprint: str
    alias_version: str = Field(
        "", exclude_if=lambda version: not version, description="of who was who: SHA-256; left out where no alias held"
    )
    exclusions_hit: ExclusionsHit | None = Field(
        None, exclude_if=lambda hit: hit is None, description="a name or all of the person, where aliases held"
    )


class Due(_Value):
    """The day on which the report is due, in the zone of the programme, and the rule that says so."""

    day: date
    time_zone: str
    rule: RuleCited | None = None


class Report(_Value):
    """One draft of one revision. Lines by tenant and SKU, a shortfall's last; totals and findings in order."""

    agreement: str
    month: Month
    revision: int = Field(ge=1, description="counts what is sent: a correction is the next one")
    draft: int = Field(ge=1, description="of this revision; what was approved is one of them")
    programme: str
    time_zone: str
    channel: Channel
    partner: Party
    distributor: Party
    contract_date: date | None
    purchase_order: str | None
    language: Language
    due: Due
    seal: SealCited
    lines: list[Line]
    skus: list[SkuTotal]
    families: list[FamilyTotal]
    total: Quantities
    adjustments: list[Adjustment] = []
    set_aside: list[SetAside] = []
    sources: list[SourceSeen] = Field(
        [], exclude_if=lambda sources: not sources, description="left out where none is declared"
    )
    findings: list[Finding] = []
    correction: Correction | None = None

    @property
    def zero(self) -> bool:
        return self.total.reported == 0

    def to_json(self) -> bytes:
        """The stored form: UTF-8, members in the order of this model."""
        return self.model_dump_json().encode()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()


State = Literal["open", "draft", "approved", "submitted", "acknowledged", "rejected", "superseded"]


class Standing(_Value):
    """Where a report stands in its life, as printed on it."""

    state: State
    prepared_by: str = ""
    prepared_at: str = Field("", description="RFC 3339, UTC")
    approved_by: str = ""
    approved_at: str = ""
    approved_how: str = Field("", description="os-user, ssh-signature or automatic")
    submitted_at: str = ""
    receipt: str = ""
