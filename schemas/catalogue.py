"""The catalogue: what may be counted, and by which rules. Data with dates; the code knows kinds of rules.

`parse_catalogue` reads the YAML text. Its CatalogueError lists every fault at once, each with the file, the
line, what is wrong and the cure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, ClassVar, Literal

import yaml
from pydantic import Field, ValidationError, field_validator

from schemas.agreement import Agreement
from schemas.allowances import Exclusion, Reasons, Trial
from schemas.calendar import zone_named
from schemas.identity import canonical
from schemas.parts import Channel, Day, Deployment, Id, Part, Text, Unit, covers
from schemas.rules import LicenceModel, Rule, Segment

Path = tuple[str | int, ...]


class CatalogueError(Exception):
    """The catalogue cannot be used; `faults` are sentences of the form `file:line: where: what; cure`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Programme(Part):
    """A vendor's programme. Its time zone decides which month a login falls in."""

    time_zone: str = Field(description="IANA name, such as Asia/Tokyo")
    report_due_day: int = Field(10, ge=1, le=28, description="day of the following month (CSP-21)")
    settle_days: int = Field(3, ge=0, le=27, description="days that late events are waited for before a close")

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
    reasons: Reasons = Reasons()


def rules_in_force(catalogue: Catalogue, programme_id: str, month: date) -> list[Rule]:
    """The programme's rule entries that cover a month (its first day), in the catalogue's order."""
    return [
        rule for rule in catalogue.rules
        if rule.programme in (None, programme_id) and covers(rule.valid_from, rule.valid_to, month)
    ]  # fmt: skip


def parse_catalogue(text: str, name: str = "catalogue.yaml") -> Catalogue:
    """The catalogue of a YAML text. Raises CatalogueError with every fault; `name` is the file's, for them."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        value = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise CatalogueError([f"{name}:{line}: not YAML: {error.problem}; mend the line or quote the text"]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise CatalogueError([f"{name}:1: not YAML: {what}; save the file as UTF-8 YAML"]) from None
    if not isinstance(value, dict):
        raise CatalogueError([f"{name}:1: not a catalogue: expected programmes, tenants, skus and products at the top"])
    try:
        catalogue = Catalogue.model_validate(value)
    except ValidationError as error:
        faults = [(tuple(e["loc"]), _message(e)) for e in error.errors(include_url=False)]
    else:
        faults = list(_contradictions(catalogue))
        if not faults:
            return catalogue
    raise CatalogueError([f"{name}:{_line(root, path)}: {_dotted(path)}: {what}" for path, what in faults])


class _Loader(yaml.SafeLoader):
    """Dates stay text, and a key given twice is an error instead of a silent loss."""

    yaml_implicit_resolvers: ClassVar[Any] = {  # type: ignore[misc]  # typed as an instance variable upstream
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a list or mapping stands as a key", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _line(node: yaml.Node | None, path: Path) -> int:
    """The line of the deepest part of `path` that the document has."""
    line = node.start_mark.line + 1 if node else 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "catalogue"


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing; add it"
    if error["type"] == "extra_forbidden":
        return "there is no such part; mend the spelling or remove it"
    if error["type"] == "string_pattern_mismatch":
        return f"{error['input']!r} is not an id; use letters, digits and . _ : + / - (up to 128)"
    message = error["msg"].removeprefix("Value error, ")
    quote = "; quote it if it is meant as text" if error["type"] == "string_type" else ""
    return f"{error['input']!r}: {message}{quote}"


def _contradictions(c: Catalogue) -> Iterator[tuple[Path, str]]:
    """What is well-formed but cannot hold together."""
    skus, tenants = {s.id for s in c.skus}, {t.id for t in c.tenants}
    yield from _repeated("tenants", "id", [t.id for t in c.tenants])
    yield from _repeated("skus", "id", [s.id for s in c.skus])
    yield from _repeated("products", "product", [(p.source, p.product) for p in c.products])
    owner: dict[str, str] = {}
    for i, tenant in enumerate(c.tenants):
        for j, domain in enumerate(tenant.domains):
            other = owner.setdefault(canonical(domain), tenant.id)
            if other != tenant.id:
                yield ("tenants", i, "domains", j), f"{domain!r} belongs to {other!r} already; a domain has one tenant"
    for i, sku in enumerate(c.skus):
        if sku.programme not in c.programmes:
            yield ("skus", i, "programme"), f"{sku.programme!r} is not under programmes; add it there or mend the name"
        if sku.valid_from and sku.valid_to and sku.valid_to <= sku.valid_from:
            yield ("skus", i, "valid_to"), f"{sku.valid_to} is the first day out, so it must lie after {sku.valid_from}"
        if sku.tier in ("gov", "edu") and sku.deployment == "cloud":
            yield ("skus", i, "tier"), f"{sku.tier!r} exists on premises only (CSP-7); mend tier or deployment"
    for i, product in enumerate(c.products):
        if product.sku not in skus:
            yield ("products", i, "sku"), f"{product.sku!r} is not under skus; add it there or mend the name"
        if product.tenant is not None and product.tenant not in tenants:
            yield ("products", i, "tenant"), f"{product.tenant!r} is not under tenants; add it there or mend the name"


def _repeated(part: str, key: str, values: list[Any]) -> Iterator[tuple[Path, str]]:
    first: dict[Any, int] = {}
    for i, value in enumerate(values):
        if first.setdefault(value, i) != i:
            yield (part, i, key), f"{value!r} stands twice (first as {part}[{first[value]}]); keep one"
