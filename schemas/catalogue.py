"""The catalogue: what may be counted, and by which rules. Data with dates; the code knows kinds of rules.

`parse_catalogue` reads the YAML text. Its CatalogueError lists every fault at once, each with the file, the
line, what is wrong and the cure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from typing import Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from schemas.agreement import Agreement
from schemas.aliases import Alias, AliasPolicy, ExclusionsHit
from schemas.allowances import Exclusion, Reasons, Trial
from schemas.calendar import zone_named
from schemas.catalogue_pieces import Pieces
from schemas.catalogue_shape import shape_faults
from schemas.catalogue_text import CatalogueError, Fault, Path, read_document
from schemas.contradictions import contradictions
from schemas.identity import canonical
from schemas.parts import Channel, Day, Deployment, FirstOfMonth, Id, Part, Text, Unit, Validity, covers
from schemas.rules import LicenceModel, Rule, Segment
from schemas.source_declared import DeclaredSource

__all__ = [
    "Catalogue", "CatalogueError", "Product", "Programme", "Sku", "Tenant", "parse_catalogue", "rules_in_force",
]  # fmt: skip


class InstanceTerms(Part):
    """When an instance counts in a month (CSP-23, CSP-21): in which states, and on which of the month's days."""

    states: tuple[Text, ...] | None = Field(None, min_length=1, description="left out: every one that is listed")
    days: Literal["any", "last"] = Field("any", description="listed on any day, or on the last: as of month end")


class Programme(Part):
    """A vendor's programme. Its time zone decides which month a login falls in."""

    time_zone: str = Field(description="IANA name, such as Asia/Tokyo")
    report_due_day: int = Field(10, ge=1, le=28, description="day of the following month (CSP-21)")
    settle_days: int = Field(3, ge=0, le=27, description="days that late events are waited for before a close")
    reconnects: Literal["count", "ignore"] | None = Field(
        None, exclude_if=lambda policy: policy is None,
        description="whether a session that is taken up again is a login then; for declared sources that do not say",
    )  # fmt: skip
    instances: InstanceTerms | None = Field(
        None, exclude_if=lambda terms: terms is None,
        description="which instances of an inventory count; left out: all that any of the month's inventories lists",
    )  # fmt: skip

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        zone_named(value)
        return value


class Tenant(Part):
    """A customer of the service provider."""

    id: Id
    name: Text
    domains: list[Text] = Field([], description="UPN suffixes that name the tenant when the event does not")
    fold_case: bool = Field(True, description="two spellings that differ in case are one subject")
    truncate_domain: FirstOfMonth | None = Field(
        None, description="from this month on alice@a.example and A\\alice are alice; left out: never"
    )
    alias_policy: AliasPolicy = AliasPolicy()

    def truncates(self, month: date) -> bool:
        return self.truncate_domain is not None and self.truncate_domain <= month

    def identity(self, name: str, month: date) -> str:
        """The canonical form of a name in a month (its first day)."""
        return canonical(name, self.fold_case, self.truncates(month))


class Sku(Part):
    id: Id
    name: Text
    programme: Id
    family: Text
    deployment: Deployment
    unit: Unit = Field("user", description="what a subject is (CSP-22, CSP-23)")
    tier: Literal[1, 2, 3, 4, "gov", "edu"] | None = None
    segment: Segment | None = Field(None, description="left out: gov or edu where the tier says so, else commercial")
    licence_model: LicenceModel | None = Field(None, description="left out: by the unit, per-user or per-instance")
    channel: Channel = Field("CSP", description="in which channel it is sold (CSP-2)")
    valid_from: Day | None = None
    valid_to: Day | None = Field(None, description="the first day that is out")

    @property
    def validity(self) -> Validity:
        return self.valid_from, self.valid_to

    @property
    def market(self) -> Segment:
        """The segment, whether it is given or in the tier."""
        return self.segment or (self.tier if self.tier in ("gov", "edu") else "commercial")

    @property
    def licensing(self) -> LicenceModel:
        return self.licence_model or ("per-user" if self.unit == "user" else "per-instance")


class Product(Part):
    """What a broker calls it, and what it is."""

    source: Text
    product: Text
    sku: Id
    tenant: Id | None = Field(None, description="left out: from the event, or from the user's domain")


class Catalogue(Part):
    programmes: dict[Id, Programme] = Field(min_length=1)
    tenants: list[Tenant]
    skus: list[Sku]
    products: list[Product] = []
    agreements: list[Agreement] = Field([], description="left out: one per programme, under its id")
    rules: list[Rule] = []
    trials: list[Trial] = []
    exclusions: list[Exclusion] = Field([], description="subjects that are not reported")
    free_users: list[Exclusion] = Field([], description="subjects that are shown beside the paid ones")
    aliases: list[Alias] = Field([], description="names of one person")
    exclusions_hit: ExclusionsHit = Field(
        "component", description="of a person with several names: all, or the named one alone"
    )
    sources: list[DeclaredSource] = Field([], description="what is expected to send; others may send too")
    reasons: Reasons = Reasons()


def rules_in_force(catalogue: Catalogue, programme_id: str, month: date) -> list[Rule]:
    """The programme's rule entries that cover a month (its first day), in the catalogue's order."""
    return [
        rule for rule in catalogue.rules
        if rule.programme in (None, programme_id) and covers(rule.valid_from, rule.valid_to, month)
    ]  # fmt: skip


T = TypeVar("T")


def parse_catalogue(
    text: str, name: str = "catalogue.yaml", further: Callable[[Pieces], Iterator[Fault]] | None = None
) -> Catalogue:
    """The catalogue of a YAML text. Raises CatalogueError with every fault; `name` is the file's, for them.

    `further` looks for faults that this package cannot see, since it stands on nothing.
    """
    document = read_document(text, name)
    catalogue: Catalogue | None = None
    faults: list[Fault] = []
    try:
        catalogue = Catalogue.model_validate(document.value)
    except ValidationError as error:
        faults += shape_faults(error)
    pieces = _pieces(document.value, {path[:2] for path, _ in faults})
    faults += contradictions(pieces)
    faults += further(pieces) if further else ()
    if catalogue is None or faults:
        raise document.error(faults)
    return catalogue


def _pieces(value: Mapping[str, Any], faulty: Collection[Path]) -> Pieces:
    """What of a catalogue holds together in itself, so that it can be compared, whatever is wrong elsewhere."""

    def listed(part: str, item: TypeAdapter[T]) -> dict[int, T]:
        given = value.get(part)
        found = enumerate(given) if isinstance(given, list) else ()
        return {i: item.validate_python(one) for i, one in found if (part, i) not in faulty}

    def ids(part: str) -> set[str]:
        given = value.get(part)
        if isinstance(given, dict):
            return {str(key) for key in given}
        return {str(one["id"]) for one in given or () if isinstance(one, dict) and "id" in one}

    programmes = value.get("programmes")
    reasons_hold = all(path[:1] != ("reasons",) for path in faulty)
    return Pieces(
        programmes={
            id: Programme.model_validate(one)
            for id, one in (programmes.items() if isinstance(programmes, dict) else ())
            if ("programmes", id) not in faulty
        },
        tenants=listed("tenants", _TENANT), skus=listed("skus", _SKU), products=listed("products", _PRODUCT),
        agreements=listed("agreements", _AGREEMENT), rules=listed("rules", _RULE), trials=listed("trials", _TRIAL),
        exclusions=listed("exclusions", _EXCLUSION), free_users=listed("free_users", _EXCLUSION),
        aliases=listed("aliases", _ALIAS), sources=listed("sources", _SOURCE),
        reasons=Reasons.model_validate(value.get("reasons", {})) if reasons_hold else None,
        ids={part: ids(part) for part in ("programmes", "tenants", "skus", "agreements")},
    )  # fmt: skip


_TENANT, _SKU, _PRODUCT = TypeAdapter(Tenant), TypeAdapter(Sku), TypeAdapter(Product)
_AGREEMENT, _TRIAL, _EXCLUSION = TypeAdapter(Agreement), TypeAdapter(Trial), TypeAdapter(Exclusion)
_ALIAS, _SOURCE = TypeAdapter(Alias), TypeAdapter(DeclaredSource)
_RULE: TypeAdapter[Rule] = TypeAdapter(Rule)
