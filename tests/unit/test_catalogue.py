"""The catalogue: the shipped example to the letter, and every fault with its line and its cure."""

from __future__ import annotations

from datetime import date

import pytest

from schemas.catalogue import Catalogue, CatalogueError, Product, Programme, Sku, Tenant, parse_catalogue


def test_the_shipped_example_to_the_letter(example_catalogue: str) -> None:
    assert parse_catalogue(example_catalogue) == Catalogue(
        programmes={"citrix-csp": Programme(time_zone="Asia/Tokyo", report_due_day=10, settle_days=3)},
        tenants=[
            Tenant(id="customer-a", name="Customer A K.K.", domains=["customer-a.example"], fold_case=True),
            Tenant(id="customer-b", name="Customer B GmbH", domains=[], fold_case=True),
        ],
        skus=[
            Sku(
                id="DAAS-PREM-T1", name="DaaS Premium, tier 1", programme="citrix-csp", family="DaaS",
                deployment="cloud", unit="user", tier=1, valid_from=date(2025, 1, 1), valid_to=None,
            )
        ],
        products=[
            Product(source="/citrix/tokyo-1", product="Finance Desktop", sku="DAAS-PREM-T1", tenant="customer-a")
        ],
    )  # fmt: skip


# Lines are told against this text; each case puts another text in the place of one of its lines.
GOOD = """\
programmes:
  csp:
    time_zone: Asia/Tokyo
tenants:
  - id: a
    name: A
    domains: [a.example]
  - id: b
    name: B
skus:
  - id: S
    name: S
    programme: csp
    family: f
    deployment: cloud
    valid_from: 2025-01
products:
  - source: /one
    product: Desktop
    sku: S
    tenant: a
"""

# The line, what stands there instead, where the fault is told, and words of the sentence with its cure.
BAD: list[tuple[int, str, int, list[str]]] = [
    (3, "    time_zone: Asia/Tokio", 3, ["programmes.csp.time_zone", "'Asia/Tokio'", "IANA time zone such as"]),
    (3, "    report_due_day: 10", 2, ["programmes.csp.time_zone", "is missing; add it"]),
    (3, "    time_zone: UTC\n    report_due_day: 29", 4, ["report_due_day", "29", "less than or equal to 28"]),
    (5, "  - id: a,b", 5, ["tenants[0].id", "'a,b' is not an id; use letters, digits"]),
    (5, "  - id: 7", 5, ["tenants[0].id", "7", "quote it if it is meant as text"]),
    (6, "    name: yes", 6, ["tenants[0].name", "True", "quote it"]),
    (6, '    name: ""', 6, ["tenants[0].name", "at least 1 character"]),
    (6, '    name: "A\\u0007"', 6, ["tenants[0].name", "U+0007"]),
    (6, "    nmae: A", 6, ["tenants[0].nmae", "there is no such part; mend the spelling"]),
    (7, "    domains: a.example", 7, ["tenants[0].domains", "valid list"]),
    (8, "  - id: a", 8, ["tenants[1].id", "'a' stands twice (first as tenants[0]); keep one"]),
    (9, "    name: B\n    domains: [A.Example]", 10, ["tenants[1].domains[0]", "belongs to 'a' already"]),
    (13, "    programme: other", 13, ["skus[0].programme", "'other' is not under programmes; add it there"]),
    (15, "    deployment: cloudy", 15, ["skus[0].deployment", "'cloud' or 'on-prem'"]),
    (15, "    deployment: cloud\n    tier: gov", 16, ["skus[0].tier", "on premises only (CSP-7)"]),
    (15, "    deployment: cloud\n    tier: 5", 16, ["skus[0].tier", "5"]),
    (16, "    valid_from: 2025-13", 16, ["skus[0].valid_from", "'2025-13'", "month must be in 1..12"]),
    (16, "    valid_from: 2025", 16, ["skus[0].valid_from", "2025", "is not a month (YYYY-MM) or a day (YYYY-MM-DD)"]),
    (16, "    valid_from: 2025-02-29", 16, ["skus[0].valid_from", "'2025-02-29'"]),
    (16, "    valid_from: 2025-02\n    valid_to: 2025-02-01", 17, ["skus[0].valid_to", "must lie after 2025-02-01"]),
    (17, "products:\n  - {source: /one, product: Desktop, sku: S}", 20, ["products[1].product", "stands twice"]),
    (20, "    sku: T", 20, ["products[0].sku", "'T' is not under skus; add it there"]),
    (21, "    tenant: c", 21, ["products[0].tenant", "'c' is not under tenants; add it there"]),
    (17, "product:", 17, ["product", "there is no such part"]),
    # what is no YAML, or no catalogue
    (2, "  csp: {", 4, ["not YAML"]),
    (7, "    domains: [a.example", 8, ["not YAML"]),
    (6, "    id: b", 6, ["not YAML", "'id' is given twice"]),
    (6, "    name: *other", 6, ["not YAML", "undefined alias"]),
    (6, "    name: A\n    [x]: y", 7, ["not YAML", "stands as a key"]),
    (6, "    name: !!python/name:os.system", 6, ["not YAML", "could not determine a constructor"]),
    (21, "    tenant: a\n---\nmore: 1", 22, ["not YAML", "another document"]),
]


@pytest.mark.parametrize(("line", "text", "told", "words"), BAD, ids=[repr(text)[:50] for _, text, _, _ in BAD])
def test_each_fault_is_told_with_its_line_and_its_cure(line: int, text: str, told: int, words: list[str]) -> None:
    lines = GOOD.splitlines()
    lines[line - 1] = text
    with pytest.raises(CatalogueError) as error:
        parse_catalogue("\n".join(lines), "my.yaml")
    said = [fault for fault in error.value.faults if fault.startswith(f"my.yaml:{told}: ")]
    assert any(all(word in fault for word in words) for fault in said), error.value.faults
    assert all("\n" not in fault for fault in error.value.faults)


NOTHING = ["", "# nothing", "[]", "text", "5", "\x00", "\ufffe", "a: 1\n\tb: 2", "!!binary é", "[" * 3000]


@pytest.mark.parametrize("text", NOTHING, ids=lambda text: repr(text[:12]))
def test_what_is_no_catalogue_at_all(text: str) -> None:
    with pytest.raises(CatalogueError) as error:
        parse_catalogue(text, "my.yaml")
    (fault,) = error.value.faults
    assert fault.startswith("my.yaml:")


def test_all_faults_are_told_at_once() -> None:
    text = GOOD.replace("Asia/Tokyo", "Tokyo").replace("id: b", "id: b b").replace("cloud", "cloudy")
    with pytest.raises(CatalogueError) as error:
        parse_catalogue(text)
    assert [fault.split(": ")[1] for fault in error.value.faults] == [
        "programmes.csp.time_zone", "tenants[1].id", "skus[0].deployment",
    ]  # fmt: skip
    assert str(error.value).count("\n") == 2


def test_contradictions_are_told_at_once_too() -> None:
    text = GOOD.replace("programme: csp", "programme: x").replace("sku: S", "sku: x").replace("tenant: a", "tenant: x")
    with pytest.raises(CatalogueError) as error:
        parse_catalogue(text)
    assert len(error.value.faults) == 3


@pytest.mark.parametrize(
    ("text", "day"), [("2025-01", date(2025, 1, 1)), ("2025-01-31", date(2025, 1, 31)), ("'2025-01'", date(2025, 1, 1))]
)
def test_dates_are_months_or_days(text: str, day: date) -> None:
    assert parse_catalogue(GOOD.replace("2025-01", text)).skus[0].valid_from == day


@pytest.mark.parametrize("domains", ["[a.example, A.EXAMPLE]", "[büro.example, bu\u0308ro.example]"])
def test_a_domain_may_stand_twice_under_its_own_tenant(domains: str) -> None:
    parse_catalogue(GOOD.replace("[a.example]", domains))


def test_a_domain_in_another_unicode_form_is_the_same_domain() -> None:
    text = GOOD.replace("a.example", "büro.example").replace("name: B", "name: B\n    domains: [BU\u0308RO.example]")
    with pytest.raises(CatalogueError, match="belongs to 'a' already"):
        parse_catalogue(text)
