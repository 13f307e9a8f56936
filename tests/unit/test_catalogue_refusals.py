"""What a catalogue may not say about agreements, rules and allowances: each refused with its line and its cure."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from infra.catalogue import checked
from infra.errors import ConfigurationError
from schemas.catalogue import CatalogueError, parse_catalogue, rules_in_force

# Each case below changes this text; the line that it marks with <<< is the one that must be told.
GOOD = """\
programmes:
  csp-jp:
    time_zone: Asia/Tokyo
  csp-nl:
    time_zone: Europe/Amsterdam
tenants:
  - id: a
    name: A
  - id: b
    name: B
  - id: c
    name: C
skus:
  - id: DAAS
    name: DaaS
    programme: csp-jp
    family: DaaS
    deployment: cloud
    valid_from: 2024-01
  - id: VDI
    name: VDI
    programme: csp-jp
    family: VDI
    deployment: on-prem
  - id: ADC
    name: ADC
    programme: csp-jp
    family: ADC
    deployment: on-prem
    unit: instance
  - id: NL
    name: NL
    programme: csp-nl
    family: DaaS
    deployment: cloud
agreements:
  - id: jp-1
    programme: csp-jp
    partner: {name: P}
    distributor: {name: D}
    contract_date: 2024-04-15
    tenants:
      - a
    contacts:
      - name: Alice
        email: alice@provider.example
        role: approver
    forms: [pdf, xlsx]
    approval:
      by: ssh-signature
      approvers: [alice@provider.example]
      allowed_signers:
        - alice@provider.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHQtGA7bI2w4o7tLlZWxd5EJlPuOqYi1E+MC6YV6/Ey5
    submission:
      by: email
      to: [orders@distributor.example]
  - id: jp-2
    programme: csp-jp
    partner: {name: P}
    distributor: {name: E}
    contract_date: 2024-05-01
    valid_to: 2025-05
rules:
  - id: minimum-1
    kind: family_minimum
    quantity: 25
    line_skus:
      DaaS: DAAS
    valid_from: 2024-01
    valid_to: 2025-01
    source: CSP-25
  - id: minimum-2
    kind: family_minimum
    families: [DaaS]
    valid_from: 2025-01
    source: CSP-25
  - id: trials
    kind: trials
    counted: false
    valid_from: 2024-01
    source: CSP-9
  - id: tiers
    kind: tier
    breaks: {1: 0, 2: 500}
    valid_from: 2024-01
    source: CSP-7
  - id: due
    kind: due_day
    valid_from: 2024-01
    source: CSP-21
trials:
  - tenant: b
    sku: DAAS
    start: 2024-06-10
exclusions:
  - tenant: a
    pattern: adm*
    reason: administration
    valid_to: 2024-08-15
free_users:
  - tenant: b
    subject: Alice@b.example
    reason: own-staff
"""


def rule(**members: str) -> str:
    """One more rule entry, in front of the others."""
    given = {"id": "extra", "valid_from": "2024-01", "source": "a letter"} | members
    return "rules:\n  - " + "\n    ".join(f"{name}: {value}" for name, value in given.items()) + "\n"


RULES, TRIALS = "rules:\n", "trials:\n"
DAAS_LINE = "    family: DaaS\n    deployment: cloud\n    valid_from: 2024-01\n"
VDI_LINE = "    family: VDI\n    deployment: on-prem\n"
UNIT_LINE = "    unit: instance\n"
SIGNER = next(line for line in GOOD.splitlines(keepends=True) if "ssh-ed25519" in line)

# What stands in GOOD, what stands there instead, and words of the sentence with its cure.
BAD: dict[str, tuple[str, str, list[str]]] = {
    # validities that overlap
    "two agreements of a tenant": (
        "    contract_date: 2024-05-01\n", "    contract_date: 2024-05-01\n    tenants:\n      - a  # <<<\n",
        ["agreements[1].tenants[0]: 'a' is covered by 'jp-1' (agreements[0])", "take it out of one, or end"],
    ),
    "two agreements of the rest": (
        "    tenants:\n      - a\n", "", ["agreements[1]: 'jp-2' and 'jp-1'", "name the tenants of one"],
    ),
    "one agreement twice": (
        "  - id: jp-2\n", "  - id: jp-1  # <<<\n", ["agreements[1].id: 'jp-1' stands twice for the same months"],
    ),
    "one agreement in two programmes": (
        "  - id: jp-2\n    programme: csp-jp\n", "  - id: jp-1  # <<<\n    programme: csp-nl\n",
        ["agreements[1].id: 'jp-1' is agreements[0] of another programme; choose another id"],
    ),
    "an agreement under another programme's id": (
        "  - id: jp-2\n", "  - id: csp-nl  # <<<\n",
        ["agreements[1].id", "another programme's id", "choose another id"],
    ),
    "a tenant twice in an agreement": (
        "      - a\n", "      - a\n      - a  # <<<\n", ["agreements[0].tenants[1]: 'a' stands twice here; keep one"],
    ),
    "two rules of one kind": (
        "    families: [DaaS]\n    valid_from: 2025-01\n", "    families: [DaaS]\n    valid_from: 2024-12\n",
        ["rules[1]: 'minimum-2' and 'minimum-1' (rules[0]) are both of kind family_minimum", "end the first with"],
    ),
    "a rule for one programme beside one for all": (
        RULES, rule(kind="due_day", programme="csp-nl", day="9"), ["rules[5]: 'due' and 'extra' (rules[0])"],
    ),
    "one rule's id twice": ("  - id: minimum-2\n", "  - id: minimum-1  # <<<\n", ["rules[1].id", "stands twice"]),
    "one subject left out twice": (
        "free_users:\n", "free_users:\n  - tenant: a  # <<<\n    pattern: ADM*\n    reason: own-staff\n",
        ["free_users[0]: 'ADM*' of 'a' is left out twice for the same days (first by exclusions[0])", "keep one"],
    ),
    "two trials at once": (
        TRIALS, "trials:\n  - tenant: b\n    sku: DAAS\n    start: 2024-06-01\n",
        ["trials[1]: 'b' tries 'DAAS' on the same days already (trials[0]); keep one"],
    ),
    # names that lead nowhere
    "an agreement's programme": (
        "  - id: jp-2\n    programme: csp-jp\n", "  - id: jp-2\n    programme: csp-us  # <<<\n",
        ["agreements[1].programme: 'csp-us' is not under programmes; add it there"],
    ),
    "an agreement's tenant": (
        "      - a\n", "      - z  # <<<\n",
        ["agreements[0].tenants[0]: 'z' is not under tenants"],
    ),
    "a rule's programme": (
        RULES, rule(kind="zero_report", programme="csp-us  # <<<"),
        ["rules[0].programme: 'csp-us' is not under programmes"],
    ),
    "a rule's family": (
        "    families: [DaaS]\n", "    families: [DaSS]  # <<<\n", ["rules[1].families[0]: no SKU is of family 'DaSS'"],
    ),
    "a shortfall line's SKU": (
        "      DaaS: DAAS\n", "      DaaS: X  # <<<\n",
        ["rules[0].line_skus.DaaS: 'X' is not under"],
    ),
    "a shortfall line of another family": (
        "      DaaS: DAAS\n", "      DaaS: VDI  # <<<\n",
        ["rules[0].line_skus.DaaS: 'VDI' is of family 'VDI'; name a SKU of 'DaaS'"],
    ),
    "a shortfall line on premises": (
        "      DaaS: DAAS\n", "      VDI: VDI  # <<<\n",
        ["line_skus.VDI: 'VDI' is on premises, the rule's minimum in the cloud"],
    ),
    "a trial's SKU": ("    sku: DAAS\n", "    sku: X  # <<<\n", ["trials[0].sku: 'X' is not under skus"]),
    "a trial's tenant": (
        "trials:\n  - tenant: b\n", "trials:\n  - tenant: z  # <<<\n",
        ["trials[0].tenant: 'z' is not"],
    ),
    "an exclusion's tenant": (
        "exclusions:\n  - tenant: a\n", "exclusions:\n  - tenant: z  # <<<\n",
        ["exclusions[0].tenant"],
    ),
    "an exclusion's SKU": (
        "    pattern: adm*\n", "    pattern: adm*\n    skus: [DAAS, X]  # <<<\n",
        ["exclusions[0].skus[1]: 'X' is not under skus"],
    ),
    # SKUs against the rules of their programme
    "gov in the cloud, by tier": (
        DAAS_LINE, DAAS_LINE + "    tier: gov  # <<<\n",
        ["skus[0].tier: 'gov' exists on premises only (CSP-7); mend tier"],
    ),
    "edu in the cloud, by segment": (
        DAAS_LINE, DAAS_LINE + "    segment: edu  # <<<\n", ["skus[0].segment: 'edu' exists on premises only (CSP-7)"],
    ),
    "gov in the cloud, by an entry": (
        DAAS_LINE + "  - id: VDI", DAAS_LINE + "    tier: gov\n    segment: gov\n  - id: VDI", ["skus[0].tier: 'gov'"],
    ),
    "tier and segment that contradict": (
        VDI_LINE, VDI_LINE + "    tier: gov\n    segment: edu  # <<<\n",
        ["skus[1].segment: 'edu' contradicts tier 'gov'"],
    ),
    "unit and licence that contradict": (
        UNIT_LINE, UNIT_LINE + "    licence_model: per-user  # <<<\n",
        ["skus[2].licence_model", "contradicts unit 'instance'"],
    ),
    "concurrent users without a rule": (
        DAAS_LINE, DAAS_LINE + "    licence_model: concurrent  # <<<\n",
        ["skus[0].licence_model: 'concurrent' licences may not be reported (CSP-24)"],
    ),
    "a channel without an agreement": (
        DAAS_LINE, DAAS_LINE + "    channel: CSA  # <<<\n",
        ["skus[0].channel: 'CSA', but the agreements of 'csp-jp' are CSP"],
    ),
    "a trial of 40 days": (
        "    start: 2024-06-10\n", "    start: 2024-06-10\n    days: 40  # <<<\n",
        ["trials[0].days: a trial of 40 days is longer than 30 (rule trials, CSP-9); shorten it"],
    ),
    "a trial of 40 days before any rule": (
        "    start: 2024-06-10\n", "    start: 2023-06-10\n    days: 40  # <<<\n",
        ["a trial of 40 days is longer than 30 (CSP-9)"],
    ),
    # entries that are not as they must be
    "a wrong zone": (
        "Asia/Tokyo", "Asia/Kyoto  # <<<",
        ["programmes.csp-jp.time_zone", "'Asia/Kyoto' is not an IANA time"],
    ),
    "a rule without a source": (
        RULES, rule(kind="zero_report").replace("    source: a letter\n", "").replace("id: extra", "id: extra  # <<<"),
        ["rules[0].source: is missing; add it"],
    ),
    "a rule of unknown kind": (
        RULES, rule(kind="family_minimun  # <<<"),
        ["rules[0].kind: 'family_minimun' is none of", "did you mean 'family_minimum'?"],
    ),
    "a rule of no kind": (
        RULES, rule().replace("id: extra", "id: extra  # <<<"),
        ["rules[0].kind: is missing; add it, one of unit, channel"],
    ),
    "a rule that is no mapping": (RULES, "rules:\n  - csp-25  # <<<\n", ["rules[0]", "'csp-25'"]),
    "an unknown parameter": (
        "    quantity: 25\n", "    quantitty: 25  # <<<\n",
        ["rules[0].quantitty: there is no such part; mend the spelling"],
    ),
    "a parameter that is no number": (
        "    quantity: 25\n", "    quantity: many  # <<<\n",
        ["rules[0].quantity: 'many' cannot stand here; it should be a valid integer"],
    ),
    "a rule that ends where it begins": (
        "    valid_to: 2025-01\n", "    valid_to: 2024-01  # <<<\n", ["rules[0].valid_to", "must lie after 2024-01-01"],
    ),
    "an agreement that ends before its contract": (
        "    valid_to: 2025-05\n", "    valid_to: 2024-05  # <<<\n",
        ["agreements[1].valid_to", "must lie after 2024-05-01"],
    ),
    "an exclusion that ends before it begins": (
        "    valid_to: 2024-08-15\n", "    valid_from: 2024-08-15\n    valid_to: 2024-08-01  # <<<\n",
        ["exclusions[0].valid_to"],
    ),
    "a rule from the middle of a month": (
        "    valid_to: 2025-01\n", "    valid_to: 2025-01-15  # <<<\n",
        ["rules[0].valid_to", "'2025-01-15' is within a month, and this holds for whole months; write 2025-01"],
    ),
    "an agreement to the middle of a month": (
        "    valid_to: 2025-05\n", "    valid_to: 2025-05-02  # <<<\n", ["agreements[1].valid_to", "within a month"],
    ),
    "breaks that do not rise": ("2: 500}", "2: 0}  # <<<", ["rules[3].breaks", "let the quantities rise"]),
    "breaks of no tier": ("2: 500}", "5: 500}  # <<<", ["rules[3].breaks", "tiers are 1 to 4"]),
    "breaks by name": ("2: 500}", "two: 500}  # <<<",
        ["rules[3].breaks.two: 'two' cannot stand here; it should be a valid integer"]),
    "an exclusion of nobody": ("    pattern: adm*\n", "", ["exclusions[0]: names nobody; add subject, or pattern"]),
    "an exclusion by both": (
        "    pattern: adm*\n", "    subject: x\n    pattern: adm*  # <<<\n",
        ["exclusions[0].pattern: stands beside subject; keep"],
    ),
    "a reason that is not in the list": (
        "    reason: administration\n", "    reason: friendship  # <<<\n",
        ["exclusions[0].reason: 'friendship' is none of administration", "add it under reasons.exclusions"],
    ),
    "a reason of the other list": (
        "    reason: own-staff\n", "    reason: evaluation  # <<<\n", ["free_users[0].reason", "reasons.free_users"],
    ),
    "a signer without a key": (
        SIGNER, "        - alice@provider.example  # <<<\n",
        ["approval.allowed_signers[0]", "is no line of an allowed signers"],
    ),
    "a signer with half a key": (
        SIGNER, SIGNER.replace("6YV6/Ey5\n", "  # <<<\n"), ["approval.allowed_signers[0]", "cut off or mistyped; copy"],
    ),
    "signatures without signers": (
        "      allowed_signers:\n" + SIGNER, "", ["agreements[0].approval.by: 'ssh-signature' needs allowed_signers"],
    ),
    "an approver who cannot sign": (
        "      approvers: [alice@provider.example]\n", "      approvers: [bob@provider.example]  # <<<\n",
        ["approval.approvers[0]: 'bob@provider.example' has no line in allowed_signers; add the key"],
    ),
    "an address with a name": (
        "alice@provider.example\n        role", "Alice <alice@provider.example>  # <<<\n        role",
        ["agreements[0].contacts[0].email", "is not an e-mail address; write it as name@company.example"],
    ),
    "a recipient that is no address": (
        "[orders@distributor.example]", "[orders]  # <<<",
        ["agreements[0].submission.to[0]: 'orders' is not an e-mail"],
    ),
    "an unknown transport": (
        "      by: email\n", "      by: fax  # <<<\n",
        ["agreements[0].submission.by: 'fax' is none of email, https, sftp, folder"],
    ),
    "a transport's part missing": (
        "      by: email\n      to: [orders@distributor.example]\n", "      by: folder\n",
        ["submission.folder: is missing"],
    ),
    "a host key that is none": (
        "      by: email\n      to: [orders@distributor.example]\n",
        "      by: sftp\n      host: h\n      user: u\n      host_key: SHA256:abc  # <<<\n",
        ["agreements[0].submission.host_key", "is no SSH public key; copy type and key"],
    ),
    "a form without its file": (
        "    forms: [pdf, xlsx]\n", "    forms: [pdf, form]  # <<<\n",
        ["agreements[0].forms: has `form` but no form to fill"],
    ),
    "holidays of no country": (
        "    kind: due_day\n", "    kind: due_day\n    holidays: Japan  # <<<\n",
        ["rules[4].holidays: 'Japan' is not a country's"],
    ),
    "a key given twice": (
        "    counted: false\n", "    counted: false\n    counted: true  # <<<\n",
        ["'counted' is given twice"],
    ),
}  # fmt: skip
TOLD_AT = {  # where the line cannot be marked, since what is missing stands nowhere
    "two agreements of the rest": "  - id: jp-2\n", "two rules of one kind": "  - id: minimum-2\n",
    "a rule for one programme beside one for all": "  - id: due\n", "two trials at once": "    start: 2024-06-10\n",
    "gov in the cloud, by an entry": "    tier: gov\n", "an exclusion of nobody": "exclusions:\n",
    "signatures without signers": "      by: ssh-signature\n", "a transport's part missing": "    submission:\n",
}  # fmt: skip
OFFSET = {"two trials at once": -2, "an exclusion of nobody": 1}


def changed(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def line_with(text: str, mark: str) -> int:
    return text[: text.index(mark)].count("\n") + 1


def faults(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as error:
        parse_catalogue(text, "my.yaml")
    return error.value.faults


def test_the_ground_of_the_cases_is_good() -> None:
    parse_catalogue(GOOD)


@pytest.mark.parametrize("case", BAD)
def test_each_is_refused_with_its_line_and_its_cure(case: str) -> None:
    old, new, words = BAD[case]
    text = changed(old, new)
    told = line_with(text, "<<<") if "<<<" in text else line_with(text, TOLD_AT[case]) + OFFSET.get(case, 0)
    found = faults(text)
    assert len(found) == 1, found
    assert found[0].startswith(f"my.yaml:{told}: "), (told, found)
    assert all(word in found[0] for word in words), found
    assert "; " in found[0], "a cure follows what is wrong"


# SKUs against entries of the catalogue's own: the rule, the SKU's further lines, and what is said.
BY_RULES = [
    ({"kind": "unit", "families": "[DaaS]", "unit": "instance"}, "", ["skus[0].unit: 'user', but family 'DaaS' is"]),
    ({"kind": "licence_model"}, "licence_model: concurrent", ["skus[0].licence_model", "(rule extra, a letter)"]),
    ({"kind": "licence_model", "forbidden": "[per-user]"}, "", ["skus[0].licence_model", "'per-user' licences may"]),
    ({"kind": "segment", "segments": "[commercial]"}, "", ["skus[0].segment: 'commercial' exists on premises only"]),
    ({"kind": "channel", "channels": "[CSA]"}, "", ["skus[0].channel: 'CSP' is none of CSA", "agreements[0].channel"]),
    ({"kind": "channel", "valid_from": "2025-02", "channels": "[CSA]"}, "", ["or end the SKU with valid_to: 2025-02"]),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "sku", "words"), BY_RULES)
def test_a_sku_is_held_to_the_entries_of_its_programme(entry: dict[str, str], sku: str, words: list[str]) -> None:
    text = changed(RULES, rule(**entry))
    text = changed(DAAS_LINE, DAAS_LINE + f"    {sku}\n", text) if sku else text
    said = "\n".join(faults(text))
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "licence_model", "valid_to": "2024-02", "valid_from": "2023-01", "programme": "csp-nl"},  # another's
        {"kind": "unit", "families": "[DaaS]", "unit": "instance", "valid_from": "2023-01", "valid_to": "2024-01",
         "programme": "csp-jp"},  # over before the SKU begins
        {"kind": "channel", "channels": "[CSA]", "severity": "warning"},  # a finding of the report instead
        {"kind": "family_minimum", "deployment": "on-prem", "families": "[VDI]"},  # another matter than the cloud's
        {"kind": "due_day", "valid_from": "2023-01", "valid_to": "2024-01", "holidays": "DE-BY"},
        {"kind": "tier", "breaks": "{1: 0}", "families": "[DaaS]", "valid_from": "2020-01", "valid_to": "2024-01"},
    ],
)  # fmt: skip
def test_rules_that_do_not_concern_it_let_it_pass(entry: dict[str, str]) -> None:
    parse_catalogue(changed(RULES, rule(**entry)))


def test_an_entry_of_ones_own_takes_the_place_of_the_built_in_one() -> None:
    concurrent = changed(DAAS_LINE, DAAS_LINE + "    licence_model: concurrent\n    valid_to: 2025-01\n")
    assert faults(concurrent)
    parse_catalogue(changed(RULES, rule(kind="licence_model", valid_from="2025-01"), concurrent))
    free = changed(DAAS_LINE, DAAS_LINE + "    licence_model: concurrent\n    channel: CSA\n")
    parse_catalogue(changed("    valid_to: 2025-05\n", "    valid_to: 2025-05\n    channel: CSA\n", free))


def test_what_follows_each_other_is_no_overlap() -> None:
    parse_catalogue(changed("rules:\n", "  - id: jp-2\n    programme: csp-jp\n    partner: {name: P}\n"
        "    distributor: {name: E}\n    contract_date: 2024-05-01\n    valid_from: 2025-05\nrules:\n"))  # fmt: skip
    parse_catalogue(changed("trials:\n", "trials:\n  - {tenant: b, sku: DAAS, start: 2024-07-10}\n"))
    parse_catalogue(changed("exclusions:\n", "exclusions:\n  - {tenant: a, pattern: adm*, reason: evaluation, "
        "valid_from: 2024-08-15}\n"))  # fmt: skip


def test_shape_and_contradictions_are_told_together_in_order_of_their_lines() -> None:
    text = GOOD.replace("Asia/Tokyo", "Asia/Kyoto").replace("    family: VDI\n", "").replace("sku: DAAS", "sku: X")
    text = text.replace("    reason: own-staff\n", "    reason: 7\n").replace("      - a\n", "      - z\n")
    assert [fault.split(": ")[1] for fault in faults(text)] == [
        "programmes.csp-jp.time_zone", "skus[1].family", "agreements[0].tenants[0]", "trials[0].sku",
        "free_users[0].reason",
    ]  # fmt: skip


def test_a_country_whose_holidays_nobody_knows_is_refused_where_the_calendar_is() -> None:
    text = changed("    kind: due_day\n", "    kind: due_day\n    holidays: XX\n")
    parse_catalogue(text)  # producers have no calendar
    with pytest.raises(ConfigurationError, match=rf"my\.yaml:{line_with(text, 'holidays')}: rules\[4\]\.holidays: no"):
        checked(text, "my.yaml")
    checked(text.replace("holidays: XX", "holidays: DE-BY"), "my.yaml")


def test_rules_in_force_are_those_of_the_month_and_programme() -> None:
    catalogue = parse_catalogue(changed(RULES, rule(kind="zero_report", programme="csp-nl", valid_to="2024-03")))

    def ids(programme: str, year: int, month: int) -> list[str]:
        return [r.id for r in rules_in_force(catalogue, programme, date(year, month, 1))]

    assert ids("csp-jp", 2024, 12) == ["minimum-1", "trials", "tiers", "due"]
    assert ids("csp-jp", 2025, 1) == ["minimum-2", "trials", "tiers", "due"]
    assert ids("csp-nl", 2024, 2) == ["extra", "minimum-1", "trials", "tiers", "due"]
    assert ids("csp-nl", 2024, 3) == ["minimum-1", "trials", "tiers", "due"]
    assert ids("csp-jp", 2023, 12) == []


def test_the_shipped_csp_catalogue_has_every_kind_of_rule(example_catalogue: str) -> None:
    text = (Path(__file__).parents[2] / "examples" / "catalogue.csp.yaml").read_text("utf-8")
    catalogue = checked(text, "catalogue.csp.yaml")
    assert {r.kind for r in catalogue.rules} == {
        "unit", "channel", "licence_model", "segment", "family_minimum", "tier", "trials", "first_report",
        "zero_report", "due_day", "variance", "set_aside", "arriving",
    }  # fmt: skip
    assert len({p.time_zone for p in catalogue.programmes.values()}) == len(catalogue.agreements) == 2
    assert all((catalogue.trials, catalogue.exclusions, catalogue.free_users))
