"""Other counts of the same month: how their file is read (a column map), and how they compare with ours."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.calendar import zone_named
from schemas.close import Month, Sha256
from schemas.parts import Id, Part, Text


class Cut(Part):
    """Where a tenant, SKU, month or number stands: in a column, or the same `value` for every row."""

    column: Text | None = Field(None, description="its header; of JSON the member, with dots into objects")
    value: Text | None = Field(None, description="what every row has")
    values: dict[str, Text] = Field({}, description="what the other side calls it, to what it is called here")
    ignore: list[str] = Field([], description="rows that have one of these here are left out, such as sums")

    @model_validator(mode="after")
    def _one(self) -> Cut:
        if (self.column is None) == (self.value is None):
            raise ValueError("name either a column or a value")
        return self


class ColumnMap(Part):
    """How another product's export is read. At least one of total and paid is named."""

    origin: Id = Field(description="who counted, as it is stored: such as license-usage-insights")
    format: Literal["csv", "json"] = "csv"
    tenant: Cut
    sku: Cut
    total: Cut | None = None
    paid: Cut | None = None
    free: Cut | None = None
    month: Cut | None = Field(None, description="rows of other months are left out; YYYY-MM…, or as in its `values`")
    encoding: Text = Field("utf-8-sig", description="of a CSV file")
    delimiter: str = Field(",", min_length=1, max_length=1, description="of a CSV file")
    skip_lines: int = Field(0, ge=0, description="lines above the header of a CSV file")
    rows: str = Field("", description="where a JSON file has its array, with dots: `data.items`; left out: it is one")
    thousands: str = Field("", max_length=1, description="what groups digits in numbers, such as a comma")
    time_zone: str = Field("UTC", description="IANA name: in which the other side cuts its months, if known")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        zone_named(value)
        return value

    @model_validator(mode="after")
    def _counts(self) -> ColumnMap:
        if self.total is None and self.paid is None:
            raise ValueError("name where the count stands, under total or paid")
        return self


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OtherCount(_Value):
    """One tenant's SKU as the other side counts it: the sum of its rows. total = paid + free where both are given."""

    tenant: str
    sku: str
    total: int | None = Field(None, ge=0)
    paid: int | None = Field(None, ge=0)
    free: int | None = Field(None, ge=0)

    @property
    def counted(self) -> int:
        """What is held against ours: what is paid for, or the total where the other side gives no more."""
        found = self.paid if self.paid is not None else self.total
        return 0 if found is None else found


class OurCount(_Value):
    """The same cell here: of the newest seal, or as known now where the month is not closed (revision 0)."""

    tenant: str
    sku: str
    agreement: str
    revision: int = Field(0, ge=0)
    counted: int = Field(0, ge=0)
    free: int = Field(0, ge=0)
    excluded: int = Field(0, ge=0)
    trial: int = Field(0, ge=0)


CauseKind = Literal[
    "unknown_tenant", "unknown_sku", "free_users", "excluded", "trials", "left_out", "late", "unlinked", "time_zone",
    "case", "domain",
]  # fmt: skip


class Cause(_Value):
    kind: CauseKind
    figure: int | None = Field(description="subjects, or events where they are no subjects yet; None: cannot be known")
    explains: bool = Field(description="the figure is the whole difference")
    text: str


class ComparedCell(_Value):
    month: Month
    tenant: str
    sku: str
    agreement: str = Field(description="empty where the catalogue does not know the cell")
    revision: int = Field(ge=0, description="of the seal; 0 where the month is not closed")
    ours: int
    theirs: int
    difference: int = Field(description="theirs - ours")
    our_free: int
    their_free: int | None
    causes: list[Cause] = []

    @property
    def differs(self) -> bool:
        return bool(self.difference) or (self.their_free is not None and self.their_free != self.our_free)


class Comparison(_Value):
    """An import held against our counts; cells by tenant and SKU."""

    month: Month
    origin: str
    import_id: UUID
    sha256: Sha256
    stands_on: list[str] = Field(description="what of ours it was held against, as sentences")
    notes: list[str] = Field([], description="what was left out, or could not be known")
    cells: list[ComparedCell]

    @property
    def differing(self) -> int:
        return sum(cell.differs for cell in self.cells)


