"""The declarative map: any CSV or JSON; checked whole before it is used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.adapters.login_map import parse_login_map
from producers.adapters.selector import parse_selector, select
from tests.unit.adapted import Outcome
from tests.unit.adapted import read as read_file

ODD = """\
records: csv
delimiter: ";"
encoding: cp1252
skip_lines: 1
source: /vpn/amsterdam
login:
  time: {from: Aangemeld om, format: "%d-%m-%Y %H:%M:%S", zone: Europe/Amsterdam}
  subject: {text: "{Domein}\\\\{Gebruiker}"}
  product: {from: Pool, values: {"7": Kantoor, "8": Finance}}
  upn: {from: E-mail, lower: true}
only:
  - {from: Resultaat, in: [OK, Gelukt]}
except:
  - {from: Gebruiker, matches: "svc_.*"}
"""
HEADER = "Rapport van 1 november\r\nDomein;Gebruiker;E-mail;Aangemeld om;Pool;Resultaat\r\n"


def read(text: str | bytes, found: str, **options: Any) -> Outcome:
    return read_file(text, "map", map=parse_login_map(found), **options)


def test_a_csv_with_odd_columns() -> None:
    rows = (
        "KLANT;andré;Andre@Klant.example;31-10-2026 23:59:59;7;OK\r\n"
        "KLANT;svc_backup;;31-10-2026 23:00:00;7;OK\r\n"
        "KLANT;bob;;25-10-2026 02:30:00;8;Gelukt\r\n"
        "KLANT;carol;;31-10-2026 10:00:00;7;Mislukt\r\n"
    )
    found = read((HEADER + rows).encode("cp1252"), ODD)
    assert [(e["time"], e["subject"], e["source"], e["data"]) for e in found.events] == [
        ("2026-10-31T23:59:59+01:00", "KLANT\\andré", "/vpn/amsterdam",
         {"product": "Kantoor", "identities": {"upn": "andre@klant.example"}}),
        ("2026-10-25T02:30:00+02:00", "KLANT\\bob", "/vpn/amsterdam", {"product": "Finance"}),
    ]  # fmt: skip
    assert found.not_logins == {
        "Gebruiker is what the map's `except` names": 1, "Resultaat is not what the map's `only` asks": 1,
    }
    assert found.events[0]["id"] == "file:3"


def test_what_the_map_cannot_read_is_refused_behind_its_header_and_can_be_mended() -> None:
    bad = [
        "KLANT;a;;31.10.2026;7;OK", "KLANT;;;31-10-2026 10:00:00;7;OK", "KLANT;b;;31-10-2026 10:00:00;9;OK",
        "KLANT;c;;;7;OK", "KLANT;d;OK",
    ]  # fmt: skip
    found = read(HEADER + "".join(row + "\r\n" for row in bad), ODD)
    assert [(n, reason) for n, reason, _ in found.refused] == [
        (3, "bad_time"), (4, "invalid_value"), (5, "invalid_value"), (6, "bad_time"), (7, "not_an_event"),
    ]
    assert "'9' is not among the map's values" in found.refused[2][2]
    mended = found.rejects.decode().replace("31.10.2026;", "31-10-2026 08:00:00;")
    assert read(mended, ODD).users == ["KLANT\\a"]


@pytest.mark.parametrize(("otherwise", "products"), [("keep", ["9"]), ("empty", [])])
def test_values_that_the_map_does_not_know(otherwise: str, products: list[str]) -> None:
    product = f'{{from: p, values: {{"7": K}}, otherwise: {otherwise}}}'
    found = f"records: csv\nlogin: {{time: t, subject: u, product: {product}}}"
    out = read("t,u,p\n2026-10-31 10:00Z,a,9\n", found)
    assert [event["data"].get("product") for event in out.events] == products
    assert len(out.refused) == 1 - len(products), "no product and no SKU"


def test_json_lines_and_documents() -> None:
    found = """
records: json
each: page.items
login:
  id: $.key
  time: {from: at.ms, format: unix_ms}
  subject: who['user.name']
  product: hosts[0].pool
only: [{from: ok, in: ["true"]}]
"""
    one = {
        "key": 7, "at": {"ms": 1793490599999}, "who": {"user.name": "alice"}, "hosts": [{"pool": "P"}], "ok": True,
    }  # fmt: skip
    document = {"page": {"items": [one, one | {"ok": False}, one | {"who": {}}, 5]}}
    for text in (json.dumps(document), json.dumps(document, indent=2)):
        out = read(text, found)
        assert [(e["id"], e["time"], e["subject"], e["data"]) for e in out.events] == [
            ("7", "2026-10-31T23:49:59.999000Z", "alice", {"product": "P"})
        ]
        assert [(n, reason) for n, reason, _ in out.refused] == [(3, "invalid_value"), (4, "not_an_event")]
    assert len(read("\n".join([json.dumps(one)] * 3), found).events) == 3


def test_a_file_without_a_header() -> None:
    found = "records: csv\nheader: false\nlogin: {time: '2', subject: '1', sku: {text: S}}"
    [event] = read("alice,2026-10-31T10:00:00+09:00,x\n", found).events
    assert (event["subject"], event["data"], event["source"]) == ("alice", {"sku": "S"}, "/map/file")


def test_a_column_that_is_not_there_and_a_zone_that_is_missing_stop_before_the_first_event() -> None:
    found = "records: csv\nlogin: {time: t, subject: u, product: p}"
    with pytest.raises(ConfigurationError, match="the column 'p' is not in the header, which has 't', 'u'"):
        read("t,u\n", found)
    with pytest.raises(ConfigurationError, match="the column 'u' is twice in the header"):
        read("t,u,u,p\n", found)
    with pytest.raises(ConfigurationError, match=r"record 2: .* has no offset"):
        read("t,u,p\n2026-10-31 10:00,a,P\n", found)
    assert read("t,u,p\n2026-10-31 10:00,a,P\n", found, zone="UTC").events[0]["time"] == "2026-10-31T10:00:00+00:00"
    with pytest.raises(ConfigurationError, match="Give --sku, or name product or sku"):
        read("", "records: csv\nlogin: {time: t, subject: u}")


@pytest.mark.parametrize(("text", "faults"), [
    ("[]", ["map.yaml:1: not a map: expected records and login at the top"]),
    ("records: csv\nlogin: {time: t", ["map.yaml:2: not YAML"]),
    ("records: csv\nlogin:\n  time: t\n  usr: u\n", ["map.yaml:2: login.subject: is missing", "map.yaml:4: login.usr"]),
    ("records: xml\nlogin: {time: t, subject: u}\n", ["map.yaml:1: records"]),
    ("records: csv\nlogin:\n  subject: u\n  time: {from: t, format: '%d.%m. %H:%M', zone: Mars/Base}\n",
     ["map.yaml:4: login.time.format", "map.yaml:4: login.time.zone: 'Mars/Base' is not an IANA time zone"]),
    ("records: csv\nlogin: {time: t, subject: u}\nonly:\n- {from: a, matches: '['}\n- {from: a}\n",
     ["map.yaml:4: only[0].matches: '[' is not a regular expression", "map.yaml:5: only[1]: name either"]),
    ("records: json\nlogin: {time: a..b, subject: 'x[y]'}\n",
     ["map.yaml:2: login.time: 'a..b' is no selector", "map.yaml:2: login.subject: 'x[y]' is no selector"]),
    ("records: json\ndelimiter: ;\nlogin: {time: a, subject: u}\n", ["map.yaml:2: delimiter: belongs to records: csv"]),
    ("records: csv\nencoding: utf-16\nlogin: {time: a, subject: u}\n", ["map.yaml:2: encoding: 'utf-16' is not"]),
    ("records: csv\nheader: false\nlogin: {time: a, subject: '1'}\n", ["map.yaml:3: login.time: 'a' is not a number"]),
    ("records: csv\nlogin: {time: t, subject: {from: a, text: b}}\n", ["map.yaml:2: login.subject: name either"]),
])  # fmt: skip
def test_every_fault_of_a_map_is_told_at_once_with_its_line(text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigurationError) as told:
        parse_login_map(text)
    lines = str(told.value).splitlines()
    for fault in faults:
        assert any(line.startswith(fault) for line in lines), str(told.value)


def test_selectors() -> None:
    value = {"a": {"b c": [1, {"d.e": 2}]}, "x-y": 3}
    assert select(parse_selector("$.a['b c'][1][\"d.e\"]"), value) == 2
    assert select(parse_selector("x-y"), value) == 3
    assert select(parse_selector("a['b c'][7]"), value) is None
    for bad in ("", "$", "a.", ".a", "a[-1]", "a[*]", "a b"):
        with pytest.raises(ValueError, match=r"no selector|is empty"):
            parse_selector(bad)


def test_a_form_with_an_offset() -> None:
    found = "records: csv\nlogin: {time: {from: t, format: '%d/%b/%Y:%H:%M:%S %z'}, subject: u, product: p}"
    out = read("t,u,p\n31/Oct/2026:23:59:59 +0900,a,x\n", found)
    assert [event["time"] for event in out.events] == ["2026-10-31T23:59:59+09:00"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('delimiter: "\\n"', "map.yaml:2: delimiter: '\\n' cannot part columns"),
        ("delimiter: '\"'", "map.yaml:2: delimiter: '\"' cannot part columns"),
        ("", "map.yaml:3: login.time.format: '%Y-%m-%d %H:%M:%S %Z': a zone's name says too little"),
    ],
)  # fmt: skip
def test_what_would_be_read_wrongly_is_refused_before_use(line: str, fault: str) -> None:
    form = "{from: t, format: '%Y-%m-%d %H:%M:%S %Z', zone: Asia/Tokyo}" if not line else "t"
    with pytest.raises(ConfigurationError) as refused:
        parse_login_map(f"records: csv\n{line}\nlogin: {{time: {form}, subject: u, product: p}}\n", "map.yaml")
    assert fault in str(refused.value)
