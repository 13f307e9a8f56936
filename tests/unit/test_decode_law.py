"""The law of decision 4: the fast reader may only accept what the contract accepts, with the same meaning."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.event import DATA, MAX_SUBJECT, read_event
from schemas.fast import Data, Event, Login, PlainEvent, Reader, fast_form
from schemas.quarantine import Refusal
from stream_jobs.dedup.batch import Headers
from stream_jobs.dedup.decode import read_carefully
from tests.unit.logins import PACKED, STRUCTURED, law, login, raw

NAMES = (("t", "customer-a", "é", "x" * 255), ("s", "DAAS-PREM-T1", "q", "\u00a0"))
READERS = (Reader(), Reader(*NAMES))
"""The law holds for both: names that are known change nothing but the time it takes."""


def read_fast(raw: bytes) -> Sequence[Login] | None:
    one, other = (reader.read_fast(raw) for reader in READERS)
    assert general(one) == general(other)
    return other


def read_run(values: Sequence[bytes]) -> Sequence[Login] | None:
    one, other = (reader.read_run(values) for reader in READERS)
    assert general(one) == general(other)
    return other


def by_contract(one: bytes) -> Event | None:
    try:
        return fast_form(read_event(one))
    except Refusal:
        return None


def general(events: Sequence[Login] | None) -> list[Event] | None:
    """The events in their general form, plain or not."""
    return None if events is None else [
        Event(e.specversion, e.id, e.source, e.type, e.time, e.subject, Data(e.data.tenant, e.data.sku))
        if isinstance(e, PlainEvent)
        else e
        for e in events
    ]


def holds(one: bytes) -> None:
    """The law, for the bytes of one object. Events are equal when all members are, the time by its instant."""
    contract = by_contract(one)
    for fast in (read_fast(one), read_run([one])):
        assert fast is None or one[:1] == b"[" or general(fast) == [contract]


# What an adversary, or a broker's developer, may write

odd = st.sampled_from(
    ["\x00", "\x1f", "\x7f", "\x85", "\ud800", "\udfff", "\ufdd0", "\ufffe", "\U0010ffff", " ", "\u3000", "\u200b",
     "e\u0301", "é", "ß", "İ", "\u0345", "🐙", "\\", '"', "/", "@", "Ⅷ", "\ue000", "\u0378"]
)  # fmt: skip
plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
printable = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.isprintable)
text = plain | st.text(max_size=6) | st.lists(odd | plain, max_size=4).map("".join) | st.sampled_from([" ", "\u3000 "])
sized = st.sampled_from(["x" * n for n in (255, 256, 257, 511, 512, 513)] + ["🐙" * 256, "é" * 513])

edges = st.sampled_from(
    ["0001-01-01T00:00:00", "0001-12-31T23:59:59", "1969-12-31T23:59:59", "2024-02-29T12:00:00", "2023-02-29T12:00:00",
     "2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-12-31T23:59:60", "2026-10-31T24:00:00", "9999-12-31T23:59:59",
     "9998-12-31T23:59:59", "2026-13-01T00:00:00", "2026-10-31T23:59", "2026-10-31"]
)  # fmt: skip
moments = st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds"))
fractions = st.just("") | st.text("0123456789", max_size=12).map(".{}".format) | st.sampled_from(
    [".999999", ".9999994", ".9999995", ".9999999", ".999999999999", ".", ",5", ".5e1"]
)
offsets = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+09:00", "-03:30", "+14:00", "+23:59", "-23:59", "+24:00", "",
                           "+0900", "+09", " Z", "Z "])  # fmt: skip


@st.composite
def times(draw: st.DrawFn) -> str:
    day = draw(edges | moments)
    separator = draw(st.sampled_from("TTTTt _"))
    return day.replace("T", separator) + draw(fractions) + draw(offsets)


def members(value: st.SearchStrategy[Any], *names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, value))


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly valid events, with any of their members odd."""
    value = draw(st.sampled_from([plain, plain, printable, text, text | sized | st.none() | st.integers()]))
    data = draw(members(value, "tenant", "sku", "product"))
    if draw(st.booleans()):
        data |= {"sku": draw(value)}
    if draw(st.integers(0, 3)) == 0:
        data["identities"] = draw(members(value, "upn", "sid", "sam", "unknown") | st.none())
    event = login(data, time=draw(times()), id=draw(value), source=draw(value), subject=draw(value))
    event |= draw(members(value, "datacontenttype", "dataschema")) if draw(st.booleans()) else {}
    if draw(st.integers(0, 5)) == 0:
        event |= draw(st.dictionaries(text, st.recursive(value, st.lists, max_leaves=5), max_size=2))
    if draw(st.integers(0, 9)) == 0:
        event[draw(st.sampled_from(["specversion", "type"]))] = draw(st.sampled_from(["1.0", "rollcall.login.v1", "1"]))
    if draw(st.integers(0, 9)) == 0:
        del event[draw(st.sampled_from(sorted(event)))]
    return event


def written(event: Any, dice: random.Random) -> str:
    """An event as JSON of any style: white space, order, escapes, and now and then a member twice."""
    if not isinstance(event, dict):
        style = json.dumps(event, ensure_ascii=dice.random() < 0.3)
        if isinstance(event, str) and dice.random() < 0.1:
            style = style.replace("/", "\\/").replace(".", "\\u002e").replace("i", "\\u0069")
        return style
    pairs = [(name, value) for name, value in event.items()]
    if dice.random() < 0.3:
        dice.shuffle(pairs)
    if pairs and dice.random() < 0.1:
        pairs.insert(dice.randrange(len(pairs) + 1), dice.choice(pairs))
    space = dice.choice(["", "", "", " ", "\n\t ", "\r\n"])
    named = [f"{written(name, dice)}{space}:{space}{written(value, dice)}" for name, value in pairs]
    body = f"{space},{space}".join(named)
    return f"{{{space}{body}{space}}}{space}"


def mutated(one: bytes, dice: random.Random) -> bytes:
    """A few bytes flipped, put in, taken out, cut off or repeated."""
    for _ in range(dice.randrange(1, 4)):
        at, end = sorted(dice.randrange(len(one) + 1) for _ in range(2))
        byte = bytes([dice.choice(b'"\\{}[],: \x00\x1f\x7f\x80\xff09.aZz' + one[:1] + bytes([dice.randrange(256)]))])
        one = dice.choice([
            one[:at] + byte + one[at + 1 :], one[:at] + byte + one[at:], one[:at] + one[at + 1 :], one[:end],
            one[:end] + one[at:end] + one[end:], one[:at] + one[end:],
        ])  # fmt: skip
    return one


styles = st.integers(0, 1 << 30).map(random.Random)


@law(120)
@given(events(), styles)
def test_whatever_is_accepted_fast_is_what_the_contract_reads(event: dict[str, Any], dice: random.Random) -> None:
    for _ in range(5):
        one = written(event, dice).encode("utf-8", "surrogatepass")
        holds(one)
        holds(mutated(one, dice))


@law(60)
@given(styles)
def test_the_law_holds_for_a_plain_event_with_broken_bytes(dice: random.Random) -> None:
    for event in PLAIN:
        for _ in range(5):
            holds(mutated(written(event, dice).encode(), dice))


@law(60)
@given(st.lists(events(), max_size=3), styles)
def test_the_law_holds_for_packed_records_and_for_runs(several: list[dict[str, Any]], dice: random.Random) -> None:
    parts = [written(event, dice).encode("utf-8", "surrogatepass") for event in several]
    if parts and dice.random() < 0.3:
        parts[0] = mutated(parts[0], dice)
    careful = [item.event for item in read_carefully(b"[" + b",".join(parts) + b"]", PACKED)]
    assert general(read_fast(b"[" + b",".join(parts) + b"]")) in (None, careful)
    assert general(read_run(parts)) in (None, [by_contract(part) for part in parts])


TWICE = [
    ('"sku":"s"', '"sku":"s","sku":"q"'),
    ('"id":"1"', '"id":"1","id":"2"'),
    ('"subject":"bob"', '"subject":"eve","subject":"bob"'),
    ('"subject":"bob"', '"subject":"eve","\\u0073ubject":"bob"'),
    ('{"sku":"s"}', '{"sku":"s"},"data":{"sku":"s"}'),
    ('{"sku":"s"}', '{"sku":"s","identities":{"upn":"a"},"identities":{}}'),
]


@pytest.mark.parametrize(("once", "twice"), TWICE)
@pytest.mark.parametrize("more", [{}, {"tenant": "t"}, {"product": "p"}, {"tenant": "t", "product": "p"}])
def test_a_member_named_twice_is_never_accepted(once: str, twice: str, more: dict[str, str]) -> None:
    """Not even where a member left out makes room for its quotes, in this event or in its neighbour."""
    event = json.dumps(login({"sku": "s"}, subject="bob"), separators=(",", ":")).replace(once, twice)
    one = event.replace('"data":{', '"data":{' + json.dumps(more)[1:-1] + "," * bool(more)).encode()
    assert by_contract(one) is None, "the test's own case"
    assert read_fast(one) is None
    assert read_run([one, raw(login({"sku": "s"}))]) is None
    assert read_fast(b"[" + one + b"," + raw(login({"product": "s"})) + b"]") is None


@pytest.mark.parametrize(
    ("written_time", "instant"),
    [
        ("2026-10-31T23:59:59.9999999Z", "2026-10-31T23:59:59.999999+00:00"),
        ("2026-10-31T23:59:59\\u002e9999999Z", "2026-10-31T23:59:59.999999+00:00"),
        ("2026-10-31T23:59:59.\\u0039999999Z", "2026-10-31T23:59:59.999999+00:00"),
        ("2026-10-31T23:59:59.9999994Z", "2026-10-31T23:59:59.999999+00:00"),
    ],
)
def test_no_reader_rounds_a_month_s_last_instant_into_the_next(written_time: str, instant: str) -> None:
    one = raw(login()).replace(b"2026-10-31T23:59:59.123+09:00", written_time.encode())
    assert read_event(one).time == datetime.fromisoformat(instant)
    holds(one)


@pytest.mark.parametrize("blank", [" ", "   ", "\\u0020", "\\t", "\u3000", "\u2003 ", "\\u3000", "\u00a0"])
@pytest.mark.parametrize("space", ["", " "])
def test_a_subject_of_white_space_is_never_accepted(blank: str, space: str) -> None:
    one = f'"subject":{space}"{blank}"'.join(json.dumps(login(subject="bob")).split('"subject": "bob"')).encode()
    assert b"bob" not in one
    assert by_contract(one) is None
    assert read_fast(one) is None
    assert read_run([raw(login()), one]) is None


# Fast where it should be fast

PLAIN = [
    login(),
    login({"sku": "s"}),
    login({"product": "Finance Desktop"}),
    login({"tenant": "t", "product": "p"}),
    login({"tenant": "t", "sku": "s", "product": "p", "identities": {"upn": "a@b", "sid": "S-1", "sam": "A\\b"}}),
    login(subject="DOMAIN\\alice"),
    login(subject="山田@customer-a.example", time="2026-10-31T23:59:59Z"),
    login(subject="x" * MAX_SUBJECT, id="x" * 512),
    login(datacontenttype="application/json", dataschema="https://example.com/schema"),
]


@pytest.mark.parametrize("event", PLAIN)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_plain_events_are_read_fast(event: dict[str, Any], ascii_only: bool) -> None:
    one = json.dumps(event, ensure_ascii=ascii_only).encode()
    expected = [by_contract(one)]
    assert general(read_fast(one)) == general(read_run([one])) == expected
    assert general(read_fast(b"[" + one + b"," + one + b"]")) == expected * 2


@law(40)
@given(st.lists(st.builds(lambda s, d, t: login(d, subject=s, time=t), plain.filter(str.strip),
                          st.fixed_dictionaries({"tenant": plain, "sku": plain}),
                          st.datetimes().filter(lambda t: 1 < t.year < 9999).map(lambda t: t.isoformat() + "+09:00")),
                min_size=1, max_size=4))  # fmt: skip
def test_plain_records_are_read_fast_as_a_whole(several: list[dict[str, Any]]) -> None:
    parts = [raw(event) for event in several]
    if not any(b"\\" in part or b".999999" in part for part in parts):
        together = general(read_fast(b"[" + b",".join(parts) + b"]"))
        assert together == general(read_run(parts)) == [by_contract(part) for part in parts]


# The careful reader: nothing raised, nothing lost

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text | events(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@law(60)
@given(st.lists(values, min_size=1, max_size=4), styles, st.sampled_from(["", " ", "\n "]))
def test_each_element_of_an_array_is_one_item_with_its_bytes(
    several: list[Any], dice: random.Random, space: str
) -> None:
    parts = [written(value, dice).strip().encode("utf-8", "surrogatepass") for value in several]
    whole = f"{space}[{space}".encode() + f"{space},{space}".encode().join(parts) + f"{space}]{space}".encode()
    items = list(read_carefully(whole, PACKED))
    assert [(item.place, item.raw) for item in items] == list(enumerate(parts))
    for item, part in zip(items, parts, strict=True):
        assert (item.event if isinstance(item.event, Event) else None) == by_contract(part)


BAD_ELEMENTS = [
    b'"\xff"', b'{"a":"\x00"}', b'{"a":tru}', b"NaN", b"01", b'"\\x"', b"[" * 5000 + b"]" * 5000, b'"\\ud800"', b"",
    b'{"a":1,}', b"{'a':1}", b"\xef\xbb\xbf{}", b'{"a":"],[}{"}', b'{"a":"\\"]"}', b'{"a":]}'[:5] + b"1}", b"1" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ELEMENTS, ids=lambda bad: repr(bad[:12]))
def test_an_element_that_is_not_json_costs_no_neighbour(bad: bytes) -> None:
    good = raw(login())
    items = list(read_carefully(b"[" + good + b" , " + bad + b"," + good + b"]", PACKED))
    assert [item.raw for item in items] == [good, bad, good]
    assert [isinstance(item.event, Event) for item in items] == [True, False, True]
    assert items[1].place == 1


@pytest.mark.parametrize("cut", [b'[{"a":1},{"a"', b'[{"a":1}', b"[", b'["', b"[{]", b"[1]]", b"[1],", b"{}", b"1"])
def test_an_array_without_a_sure_end_is_refused_as_a_whole(cut: bytes) -> None:
    (item,) = read_carefully(cut, PACKED)
    assert (item.place, item.raw) == (-1, cut)
    assert isinstance(item.event, Refusal)
    assert item.event.reason == "not_json"


header = st.tuples(
    st.sampled_from(["content-type", "Content-Type", "ce_specversion", "ce_id", "ce_time", "ce_data", "ce_", "x"]),
    st.none() | st.binary(max_size=5) | st.sampled_from([*(v for _, v in STRUCTURED), DATA, b"text/plain; q=1"]),
)


@law(80)
@given(st.none() | st.binary(max_size=40) | events().map(raw), st.lists(header, max_size=4))
@example(b"[" * 100_000, [])
@example(b'{"a":' * 100_000, [])
def test_whatever_comes_is_an_event_or_a_refusal(value: bytes | None, headers: Headers) -> None:
    for item in read_carefully(value, headers):
        assert isinstance(item.event, Event | Refusal)


def binary(**attributes: str | None) -> Headers:
    plain = login(time="2026-10-31T23:59:59Z", subject="山田")
    named: dict[str, str | None] = {name: plain[name] for name in plain if name != "data"} | attributes
    return [(f"ce_{name}", None if value is None else value.encode()) for name, value in named.items()]


BINARY = [
    (binary(), "1"),
    ([*binary(), ("content-type", b"application/json; charset=utf-8")], "1"),
    (binary(subject=None), "wrong_type"),
    ([*binary(), ("ce_id", b"2")], "duplicate_member"),
    ([*binary(), ("ce_data", b"{}")], "duplicate_member"),
    ([*binary(), ("ce_note", b"\xff")], "not_utf8"),
    ([*binary(), ("content-type", b"text/xml")], "not_an_event"),
    (binary(time="2026-10-31T23:59:59"), "bad_time"),
]


@pytest.mark.parametrize(("headers", "outcome"), BINARY)
def test_binary_mode(headers: Headers, outcome: str) -> None:
    (item,) = read_carefully(b'{"tenant":"t","sku":"s"}', headers)
    assert (item.event.id if isinstance(item.event, Event) else item.event.reason) == outcome


def test_a_record_of_one_content_type_is_not_read_as_another() -> None:
    one = raw(login())
    (single,) = read_carefully(b"[" + one + b"]", STRUCTURED)
    assert isinstance(single.event, Refusal)
    assert single.event.reason == "not_an_event"
    (packed,) = read_carefully(one, PACKED)
    assert (packed.place, isinstance(packed.event, Refusal)) == (-1, True)


def test_an_array_without_events_is_set_aside_and_does_not_vanish() -> None:
    assert read_fast(b"[]") is None
    [item] = read_carefully(b"[]", PACKED)
    assert isinstance(item.event, Refusal)
    assert (item.place, item.raw, item.event.reason) == (-1, b"[]", "empty")


def test_names_that_are_known_are_not_made_anew() -> None:
    events = [login({"tenant": tenant, "sku": sku}) for tenant in (*NAMES[0], "other") for sku in (*NAMES[1], "other")]
    texts: dict[str, set[int]] = {}
    for _ in range(2):
        for event in events:
            for found in (READERS[1].read_fast(raw(event)), READERS[1].read_run([raw(event)] * 3)):
                for one in found or ():
                    if type(one) is not PlainEvent:
                        texts.setdefault(str(one.data.tenant), set()).add(id(one.data.tenant))
                        texts.setdefault(str(one.data.sku), set()).add(id(one.data.sku))
    assert texts.keys() == {*NAMES[0], *NAMES[1]} - {"\u00a0"}
    assert {len(objects) for objects in texts.values()} == {1}


@pytest.mark.parametrize("names", [((), ("s",)), (("t",), ()), (("x" * 257,), ("s",)), (("",), ("s",))])
def test_a_name_that_the_contract_refuses_is_not_known(names: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    one = raw(login({"tenant": names[0][0] if names[0] else "t", "sku": "s"}))
    found = Reader(*names).read_fast(one)
    assert general(found) == ([by_contract(one)] if by_contract(one) else None)
