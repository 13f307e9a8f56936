"""Rules of a programme, as dated data: the code knows these kinds, the catalogue says which apply when.

A rule is in force for whole months: `valid_from` is its first one, `valid_to` the first that is out. A programme
changes a rule by ending its entry and adding another, so that a month is always judged by what held in it.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from schemas.parts import Channel, Deployment, FirstOfMonth, Id, Part, Severity, Text, Unit, Validity

Segment = Literal["commercial", "gov", "edu"]
LicenceModel = Literal["per-user", "per-instance", "concurrent"]
Weekend = Literal["as-is", "before", "after"]
COUNTRY = r"^[A-Z]{2}(-[A-Z0-9]{1,4})?$"
"""An ISO 3166-1 code, or one with a subdivision."""


class _Rule(Part):
    id: Id = Field(description="cited by findings, such as csp-25-2025")
    programme: Id | None = Field(None, description="left out: every programme")
    valid_from: FirstOfMonth = Field(description="the first month that it covers")
    valid_to: FirstOfMonth | None = Field(None, description="the first month that it no longer covers")
    source: Text = Field(description="where the rule stands: document, section, date")

    @property
    def validity(self) -> Validity:
        return self.valid_from, self.valid_to


class UnitRule(_Rule):
    """What a subject of these families is: users (CSP-22), instances for network and hypervisor products (CSP-23)."""

    kind: Literal["unit"]
    families: list[Text] = Field(min_length=1)
    unit: Unit
    severity: Severity = "blocking"


class ChannelRule(_Rule):
    """A report holds only SKUs of the agreement's channel, and these channels report at all (CSP-2)."""

    kind: Literal["channel"]
    channels: list[Channel] = Field(["CSP"], min_length=1)
    severity: Severity = "blocking"


class LicenceModelRule(_Rule):
    """Licence models that may not be reported; no concurrent users in CSP (CSP-24)."""

    kind: Literal["licence_model"]
    forbidden: list[LicenceModel] = Field(["concurrent"], min_length=1)
    severity: Severity = "blocking"


class SegmentRule(_Rule):
    """Segments that exist in one deployment only; government and education on premises (CSP-7)."""

    kind: Literal["segment"]
    segments: list[Segment] = Field(["gov", "edu"], min_length=1)
    deployment: Deployment = "on-prem"
    severity: Severity = "blocking"


class FamilyMinimumRule(_Rule):
    """The least that must be reported of a family, over all tenants and SKUs of the agreement (CSP-25).

    `flag` makes a finding; `add_line` reports the shortfall as a line of its own, and says so in a finding. A family
    that nobody used is held to it only with `when_unused`.
    """

    kind: Literal["family_minimum"]
    quantity: int = Field(25, ge=1)
    deployment: Deployment = "cloud"
    families: list[Text] = Field([], description="left out: every family of that deployment")
    action: Literal["flag", "add_line"] = "flag"
    line_skus: dict[Text, Id] = Field({}, description="family to the SKU of the line; left out: its largest SKU")
    when_unused: bool = False
    severity: Severity = "warning"


class TierRule(_Rule):
    """From which reported quantity on a tier applies; the SKU's tier must be that of its quantity (CSP-7)."""

    kind: Literal["tier"]
    breaks: dict[int, int] = Field(min_length=1, description="tier to the least quantity, such as {1: 0, 2: 500}")
    families: list[Text] = Field([], description="left out: every family that has tiers")
    per: Literal["family", "sku"] = "family"
    severity: Severity = "warning"

    @field_validator("breaks")
    @classmethod
    def _rise(cls, breaks: dict[int, int]) -> dict[int, int]:
        if not set(breaks) <= {1, 2, 3, 4}:
            raise ValueError("tiers are 1 to 4; write them as {1: 0, 2: 500}")
        quantities = [breaks[tier] for tier in sorted(breaks)]
        if quantities[0] < 0 or any(low >= high for low, high in pairwise(quantities)):
            raise ValueError("a higher tier begins at a greater quantity; let the quantities rise from 0 on")
        return breaks


class TrialsRule(_Rule):
    """Whether users of a trial are reported, and how long a trial may be (CSP-9)."""

    kind: Literal["trials"]
    counted: bool
    longest_days: int = Field(30, ge=1)


class FirstReportRule(_Rule):
    """The first report is due within so many months of the contract, with or without users (CSP-15)."""

    kind: Literal["first_report"]
    months: int = Field(3, ge=1)
    severity: Severity = "warning"


class ZeroReportRule(_Rule):
    """A month without users is reported all the same, with a line of zero for each family (CSP-3, CSP-15)."""

    kind: Literal["zero_report"]
    severity: Severity = "info"


class DueDayRule(_Rule):
    """The day of the following month on which a report is due (CSP-21), in the programme's zone.

    On a Saturday, Sunday or holiday it stays (`as-is`), or moves to the working day `before` or `after`.
    """

    kind: Literal["due_day"]
    day: int = Field(10, ge=1, le=28)
    weekend: Weekend = "as-is"
    holidays: str | None = Field(
        None, pattern=COUNTRY, description="country whose public holidays are no working days, such as JP or DE-BY"
    )


class VarianceRule(_Rule):
    """A change against the month before, or against the highest ever, that somebody should look at."""

    kind: Literal["variance"]
    percent: float = Field(gt=0)
    against: Literal["previous", "highest"] = "previous"
    per: Literal["agreement", "family", "sku", "tenant"] = "family"
    least: int = Field(0, ge=0, description="smaller differences, in users, are no finding")
    severity: Severity = "warning"


class SetAsideRule(_Rule):
    """Quarantined events of the month that nobody cured or waived: they may be users that are not counted."""

    kind: Literal["set_aside"]
    at_most: int = Field(0, ge=0, description="events that are let pass")
    severity: Severity = "blocking"


class ArrivingRule(_Rule):
    """Logins of the month that reached the log behind the close: the month may not have settled."""

    kind: Literal["arriving"]
    at_most: int = Field(0, ge=0, description="subjects that are let pass")
    severity: Severity = "warning"


Rule = Annotated[
    UnitRule | ChannelRule | LicenceModelRule | SegmentRule | FamilyMinimumRule | TierRule | TrialsRule
    | FirstReportRule | ZeroReportRule | DueDayRule | VarianceRule | SetAsideRule | ArrivingRule,
    Field(discriminator="kind"),
]  # fmt: skip

# What the catalogue is held to where a programme has no entry of the kind.
BUILT_IN: tuple[Rule, ...] = (
    SegmentRule(kind="segment", id="built-in-segment", valid_from=date.min, source="CSP-7"),
    LicenceModelRule(kind="licence_model", id="built-in-licence-model", valid_from=date.min, source="CSP-24"),
    ChannelRule(kind="channel", id="built-in-channel", valid_from=date.min, source="CSP-2", channels=["CSP", "CSA"]),
    TrialsRule(kind="trials", id="built-in-trials", valid_from=date.min, source="CSP-9", counted=True),
)
