"""What a close says: counts, seals, and how a seal was held against the table it came from."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from schemas.calendar import month_name, parse_month


def _first_day(value: Any) -> Any:
    return parse_month(value) if isinstance(value, str) else value


Month = Annotated[
    date,
    BeforeValidator(_first_day),
    PlainSerializer(month_name, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}),
]
"""A month as its first day; `YYYY-MM` in JSON."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Count(_Value):
    """Active users of one tenant and SKU in a month."""

    month: Month
    tenant: str
    sku: str
    active_users: int = Field(ge=0)


class SealedCount(_Value):
    """One cell of a seal: the count, and the digest of its counted subjects."""

    tenant: str
    sku: str
    active_users: int = Field(ge=0)
    digest: Sha256 = Field(description="SHA-256 of the subjects in lower-case hex, sorted, each ended by a line feed")


LeftOutKind = Literal["excluded", "free", "trial"]


class LeftOut(_Value):
    """Subjects of a cell that logged in and are not counted: each of their active days is covered by an allowance."""

    tenant: str
    sku: str
    kind: LeftOutKind
    reason: str = Field(description="from the catalogue's list; empty for a trial")
    subjects: int = Field(ge=1)


class Seal(_Value):
    """One revision of a month and agreement, immutable. Its subjects are stored under `close_number`."""

    month: Month
    agreement: str = Field(description="the programme's id, where no agreements are kept")
    revision: int = Field(ge=1)
    close_number: int = Field(ge=1)
    time_zone: str = Field(description="IANA name; decided whether the month was over")
    digest: Sha256 = Field(description="SHA-256 of the sorted lines tenant,sku,active_users,digest")
    counts: list[SealedCount] = Field(description="what is counted; cells without any counted subject are left out")
    left_out: list[LeftOut] = []
    cluster_id: str
    topic_id: str
    generation: int = Field(1, ge=1, description="of the table that was counted")
    offsets: dict[int, int] = Field(description="partition to offset of the close's control record")
    append_times: dict[int, datetime] = Field(description="when those records were appended, for display")
    catalogue_versions: dict[int, int] = Field(description="partition to the catalogue version in force there")
    key_fingerprint: str = Field(description="of the key that made the month's pseudonyms; empty when none is known")
    alias_versions: dict[str, Sha256] = Field({}, description="tenant to the aliases that held: SHA-256 of the pairs")
    sealed_at: datetime | None = Field(None, description="the server's clock, for display")

    @property
    def catalogue_version(self) -> int:
        """The version by which SKUs were given to agreements: the greatest in force in any partition."""
        return max(self.catalogue_versions.values())

    @property
    def alias_version(self) -> str:
        """Of all tenants: SHA-256 of the sorted lines `tenant,version`; empty where no alias held."""
        lines = sorted(f"{tenant},{version}\n" for tenant, version in self.alias_versions.items())
        return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


class CloseResult(_Value):
    """What a close did for one agreement.

    `new`: it made this revision. `unchanged`: set and rules are those of this revision, which stays the newest.
    `refused`: nothing was sealed, for the reason given; the other agreements were.
    """

    month: Month
    agreement: str
    outcome: Literal["new", "unchanged", "refused"]
    close_number: int = Field(ge=1, description="of this close; the revision may be an earlier close's")
    revision: int | None = None
    digest: Sha256 | None = None
    time_zone: str | None = None
    counts: list[Count] = []
    reason: str | None = Field(None, description="why it was refused: the operator's sentence")


class RevisionCheck(_Value):
    """A revision's stored set against its own digest and counts; `faults` are sentences, none when it holds."""

    revision: int
    close_number: int
    digest: str
    active_users: int
    alias_version: str = Field("", description="of who was who; empty where no alias held")
    faults: list[str]


class SubjectDifference(_Value):
    """`missing`: in active_users as of the close, not in the seal. `extra`: in the seal, not in active_users."""

    kind: Literal["missing", "extra"]
    tenant: str
    sku: str
    subject: str = Field(description="lower-case hex")


class VerifyResult(_Value):
    """Every revision of a month and agreement held against itself, the newest also against active_users."""

    month: Month
    agreement: str
    revisions: list[RevisionCheck]
    missing: int = Field(ge=0)
    extra: int = Field(ge=0)
    examples: list[SubjectDifference] = Field(description="the first few, by tenant, SKU and subject")

    @property
    def holds(self) -> bool:
        return not (self.missing or self.extra or any(check.faults for check in self.revisions))


class CountedSubject(_Value):
    """Why a subject counts, or does not: the first login that is known of it in the month."""

    subject: str = Field(description="lower-case hex")
    first_login: datetime
    source: str
    id: str
    reason: str = Field("", description="why it is left out, such as excluded:administration; empty when it counts")
    identities: list[str] = Field([], description="all pseudonyms of the person, where there are several")
    name: str | None = Field(
        None, description="who it is, in canonical form, where that was asked for and is known; several joined by ` = `"
    )
