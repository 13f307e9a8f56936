"""Aliases: names of one person. They hold for whole months, since a name can pass to another person.

A tenant's names that are linked, directly or over others, are counted as one in the months in which the links hold.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.parts import Day, FirstOfMonth, Id, Part, Text, Validity, covers

ExclusionsHit = Literal["identity", "component"]
"""Whom an exclusion or a free user of a linked name leaves out: that name alone, or the person with all names."""


def _whole_month(day: date) -> date:
    if day.day != 1:
        raise ValueError(
            f"is finer than a month, and an alias holds for whole months; write {day:%Y-%m} or the next month, or "
            "import it with `rollcall alias import`, where finer dates become proposals"
        )
    return day


Month = Annotated[Day, AfterValidator(_whole_month)]


class Alias(Part):
    """Names of one person: SID, UPN, `DOMAIN\\user`, any spelling. Compared in their canonical form."""

    tenant: Id
    same: list[Text] = Field(min_length=2)
    from_month: Month | None = Field(None, description="left out: always")
    to_month: Month | None = Field(None, description="the first month that is out; left out: for good")
    reason: Text

    @property
    def validity(self) -> Validity:
        return self.from_month, self.to_month


class AliasPolicy(Part):
    """What becomes of links that a tenant's events show (`data.identities`)."""

    identities: Literal["apply", "propose"] = Field(
        "propose", description="apply: they hold from the first month in which they were seen to the last; propose: a "
        "person decides",
    )
    from_month: FirstOfMonth | None = Field(None, description="they are applied from this month on; left out: always")

    def applies(self, month: date) -> bool:
        return self.identities == "apply" and covers(self.from_month, None, month)
