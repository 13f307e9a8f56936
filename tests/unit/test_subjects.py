"""A person's pseudonyms, where a name is mentioned, until when it is kept, and that it is not stored again."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra.keyring import FIRST, Keys
from infra.pseudonyms import MonthlyPseudonyms
from schemas.catalogue import parse_catalogue
from stream_jobs.dedup.erased import REREAD_SECONDS, Erasures
from stream_jobs.subjects.export import days_of
from stream_jobs.subjects.mentions import mentioned, pattern_of
from stream_jobs.subjects.person import person_of
from stream_jobs.subjects.places import gone_by, named_in

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = MonthlyPseudonyms(Keys({FIRST: b"1" * 32, date(2026, 4, 1): b"2" * 32}))
DAY = 86_400_000


def test_a_person_has_a_pseudonym_by_each_key_and_form() -> None:
    person = person_of(KEYS, "a", {"Alice", "alice"})
    assert [(each.from_month, each.name) for each in person.pseudonyms] == [
        (FIRST, "Alice"), (FIRST, "alice"), (date(2026, 4, 1), "Alice"), (date(2026, 4, 1), "alice"),
    ]  # fmt: skip
    assert len(person.subjects) == 4
    assert KEYS.at(date(2026, 5, 1)).of("a", "alice") in person.subjects


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'{"subject": "alice@x.example"}', True),
        (b'{"subject": "ALICE@X.EXAMPLE"}', True),
        (b'{"subject": "\\u0061lice@x.example"}', True),
        (b'{"data": {"identities": {"upn": "alice@x.example"}}}', True),
        (b'{"subject": "alice@x.example"', True),  # cut off
        (b"login of alice@x.example, failed", True),
        (b'{"subject": "malice@x.example"}', False),
        (b'{"subject": "alice@x.example.org"}', True),  # a dot may end a sentence
        (b'{"subject": "alice@x.examples"}', False),
        (b"\xff\xfe\x00", False),
        (b"[" * 20_000, False),
    ],
)
def test_a_name_is_found_in_the_bytes_of_an_event(value: bytes, found: bool) -> None:
    pattern = pattern_of({"alice@x.example"})
    assert mentioned(pattern, value, []) is found
    assert mentioned(pattern, b"{}", [("ce_subject", value)]) is (found and b"\\u" not in value)


def test_until_when_kafka_has_a_name() -> None:
    assert gone_by({"retention.ms": str(30 * DAY), "segment.ms": str(DAY)}, NOW) == NOW + timedelta(days=31)
    assert gone_by({"retention.ms": str(30 * DAY)}, NOW) == NOW + timedelta(days=37)
    assert gone_by({"retention.ms": "-1", "segment.ms": str(DAY)}, NOW) is None


def test_a_catalogue_that_names_somebody_says_where(example_catalogue: str) -> None:
    people = {
        "exclusions": [
            {"tenant": "customer-a", "subject": "ALICE@x", "reason": "administration"},
            {"tenant": "customer-a", "pattern": "al*", "reason": "evaluation"},
            {"tenant": "customer-b", "subject": "alice@x", "reason": "administration"},
            {"tenant": "customer-a", "pattern": "b*", "reason": "administration"},
        ],
        "aliases": [{"tenant": "customer-a", "same": ["alice@x", "CORP\\alice"], "reason": "renamed"}],
    }
    lists = "".join(f"\n{name}: {json.dumps(entries)}\n" for name, entries in people.items())
    catalogue = parse_catalogue(example_catalogue + lists)
    assert named_in(person_of(KEYS, "customer-a", {"alice@x"}), catalogue) == [
        "exclusions (by name, administration)", "exclusions (by pattern, evaluation)", "aliases"]  # fmt: skip
    assert named_in(person_of(KEYS, "customer-a", {"carol@x"}), catalogue) == []


def test_days_of_a_month() -> None:
    assert days_of(date(2026, 2, 1), 1 << 1 | 1 << 28) == [date(2026, 2, 1), date(2026, 2, 28)]
    assert days_of(date(2026, 1, 1), 1 << 31) == [date(2026, 1, 31)]


def test_erasures_are_read_again_after_some_seconds() -> None:
    clock, asked = [0.0], []

    class Sink:
        async def ask(self, what: str, *_: Any) -> frozenset[tuple[str, bytes]]:
            asked.append(what)
            return frozenset({("a", bytes([len(asked)]))})

    erasures = Erasures(None, Sink(), lambda: clock[0])  # type: ignore[arg-type]

    def known() -> frozenset[tuple[str, bytes]]:
        return asyncio.run(erasures.known())

    assert known() == known() == {("a", b"\x01")}
    clock[0] = REREAD_SECONDS
    assert known() == {("a", b"\x02")}
