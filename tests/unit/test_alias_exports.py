"""Who is who from files: directory exports and lists of renames."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime

import pytest

from stream_jobs.month_close.aliases.desk import first_untold
from stream_jobs.month_close.aliases.exports import Group, from_csv, from_ldif
from stream_jobs.month_close.aliases.ldif import sid_text
from stream_jobs.month_close.aliases.ledger import ALWAYS, NEVER, Act, open_proposals

# The SID of [MS-DTYP]'s layout: revision, count of parts, authority (big-endian), parts (little-endian).
RAW = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100")
SID = "S-1-5-21-2127521184-1604012920-1887927527-72713"


def test_a_binary_sid_is_spelled() -> None:
    assert sid_text(RAW) == SID
    assert sid_text(SID.lower().encode()) == SID
    with pytest.raises(ValueError, match="neither"):
        sid_text(RAW[:-1])


def test_a_directory_export_is_read() -> None:
    text = (
        "version: 1\n# a comment\n  that is folded\n\n"
        f"dn: CN=Alice\nobjectSid:: {base64.b64encode(RAW).decode()}\n"
        "userPrincipalName: alice@\n customer.example\nsAMAccountName: alice\n\n"
        f"dn: CN=Ünal\nuserPrincipalName:: {base64.b64encode('ünal@customer.example'.encode()).decode()}\n"
        "sAMAccountName: unal\nmsDS-PrincipalName: OTHER\\unal\n\n"
        "dn: OU=People\nobjectClass: organizationalUnit\n\n"
        "dn: CN=Bob\nsAMAccountName: bob\n"
    )
    assert list(from_ldif(text, "CUSTOMER")) == [
        Group("line 5", (SID, "alice@customer.example", "CUSTOMER\\alice")),
        Group("line 11", ("ünal@customer.example", "OTHER\\unal")),
        "line 19: fewer than two names",
    ]


@pytest.mark.parametrize(("text", "what"), [
    ("dn: CN=A\nchangetype: modify\n", "line 2: a change record"),
    ("dn: CN=A\nobjectSid:: AQ=?\n", "line 2: not base64"),
    ("dn: CN=A\nobjectSid:< file:///sid\n", "line 2: a value by URL"),
    ("no colon here\n", "line 1: 'no colon here' is no"),
])  # fmt: skip
def test_what_is_no_export_is_named_by_its_line(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        list(from_ldif(text))


def test_a_csv_file_is_read_by_its_columns() -> None:
    text = (
        "ObjectSID,userPrincipalName,sAMAccountName,from,to\n"
        "S-1-5-1,a@x.example,alice,2026-10,\n,b@x.example,CORP\\bob,2026-10-05,2027-01\n"
        ",c@x.example,,,\n,d@x.example,dora,2026-13,\n,e@x.example,eve,2026-10,2026-10\n"
    )
    assert list(from_csv(text, "CORP")) == [
        Group("line 2", ("S-1-5-1", "a@x.example", "CORP\\alice"), date(2026, 10, 1)),
        Group("line 3", ("b@x.example", "CORP\\bob"), date(2026, 10, 5), date(2027, 1, 1)),
        "line 4: fewer than two names",
        "line 5: '2026-13' is not a month (YYYY-MM) or a day (YYYY-MM-DD)",
        "line 6: it ends before it begins; `to` is the first day that is out",
    ]
    with pytest.raises(ValueError, match="no two columns"):
        list(from_csv("user,mail\na,b\n"))


def test_a_decision_closes_the_proposals_of_its_months() -> None:
    one, other, at = b"\1" * 16, b"\2" * 16, datetime(2026, 11, 1, tzinfo=UTC)
    spring, autumn = (date(2026, 3, 1), date(2026, 6, 1)), (date(2026, 9, 1), NEVER)

    def act(number: int, kind: object, months: tuple[date, date]) -> Act:
        return Act(kind, "a", (one, other), *months, "", "", "", at, number)  # type: ignore[arg-type]

    proposals = [act(1, "proposed", spring), act(2, "proposed", autumn)]
    assert open_proposals(proposals) == proposals
    assert open_proposals([*proposals, act(3, "accepted", autumn)]) == proposals[:1]
    assert open_proposals([*proposals, act(3, "refused", (ALWAYS, NEVER))]) == []


SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (date(2026, month, 1) for month in (9, 10, 11, 12))


@pytest.mark.parametrize(("told", "start"), [
    ([], SEPTEMBER),
    ([(SEPTEMBER, OCTOBER)], OCTOBER),
    ([(OCTOBER, NOVEMBER), (SEPTEMBER, OCTOBER)], NOVEMBER),
    ([(OCTOBER, NOVEMBER)], SEPTEMBER),
    ([(SEPTEMBER, DECEMBER)], NOVEMBER),
])  # fmt: skip
def test_a_link_that_is_seen_again_is_told_of_for_its_new_months(told: list[tuple[date, date]], start: date) -> None:
    """Seen in September and October; whoever accepted September is asked about October."""
    assert first_untold(told, SEPTEMBER, NOVEMBER) == start
