"""Who logs in and is not reported: trials, exclusions, free users. Dated; applied at the close, never at ingest.

A subject is left out of a month's reported count if each of its active days in the month is covered. One login on a
day that nothing covers, and it is reported.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from schemas.parts import Day, Id, Part, Text, Validity


class Trial(Part):
    """A tenant's free trial of a SKU, from its first day on (CSP-9)."""

    tenant: Id
    sku: Id
    start: Day
    days: int = Field(30, ge=1, le=366)

    @property
    def validity(self) -> Validity:
        return self.start, date.fromordinal(min(self.start.toordinal() + self.days, date.max.toordinal()))


class Exclusion(Part):
    """Subjects of a tenant by their name or by a pattern, in which `*` is any text and `?` any character.

    Names are compared in their canonical form. Either `subject` or `pattern` is given.
    """

    tenant: Id
    subject: Text | None = None
    pattern: Text | None = None
    skus: list[Id] = Field([], description="left out: every SKU")
    reason: Id = Field(description="one of the catalogue's reasons")
    valid_from: Day | None = None
    valid_to: Day | None = Field(None, description="the first day that is out")

    @property
    def validity(self) -> Validity:
        return self.valid_from, self.valid_to


class Reasons(Part):
    """The lists that reasons are chosen from."""

    exclusions: list[Id] = ["administration", "demonstration", "evaluation", "own-testing"]
    free_users: list[Id] = ["free-user", "own-staff"]
    adjustments: list[Id] = ["credit", "late-evidence", "measurement-fault", "rounding-by-contract", "other"]
    waivers: list[Id] = ["accepted-by-distributor", "cured-elsewhere", "known-and-harmless", "other"]
