"""sshd's auth.log: which lines are logins, and of which year."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.sources.lines import Lines
from producers.sources.source import Login, Refused, Skipped, SourceOptions
from producers.sources.sshd import SshdSource
from schemas.event import read_event

ACCEPTED = "{stamp} web1 sshd[812]: Accepted {method} for {user} from 192.0.2.7 port 54259 ssh2: RSA SHA256:Kl8k"


def line(stamp: str = "Mar 27 13:08:09", user: str = "ubuntu", method: str = "publickey") -> str:
    return ACCEPTED.format(stamp=stamp, user=user, method=method)


def read(text: str | bytes, **options: Any) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    given: dict[str, Any] = {"year": 2017, "zone": "UTC"} | options
    chosen = SourceOptions("sshd", **given)
    return list(SshdSource(chosen, "auth.log", 1000).read(Lines(io.BytesIO(data), "auth.log", 1000)))


def events(items: list[Any]) -> list[dict[str, Any]]:
    assert all(read_event(item.event).subject == item.subject for item in items if isinstance(item, Login))
    return [json.loads(item.event) for item in items if isinstance(item, Login)]


def test_an_accepted_login() -> None:
    assert events(read(line())) == [{
        "specversion": "1.0", "id": "auth.log:1", "source": "/sshd/web1", "type": "rollcall.login.v1",
        "time": "2017-03-27T13:08:09+00:00", "subject": "ubuntu", "data": {"product": "publickey"},
    }]


def test_options_give_source_tenant_and_sku() -> None:
    [event] = events(read(line(), source="/ssh/farm", tenant="t", sku="S"))
    assert (event["source"], event["data"]) == ("/ssh/farm", {"sku": "S", "tenant": "t"})


@pytest.mark.parametrize("text", [
    "Mar 27 13:06:56 web1 sshd[1291]: Server listening on 0.0.0.0 port 22.",
    "Mar 27 13:06:56 web1 sshd[1291]: Failed password for ubuntu from 192.0.2.7 port 5 ssh2",
    "Mar 27 13:06:56 web1 sshd[1291]: Partial publickey for ubuntu from 192.0.2.7 port 5 ssh2",
    "Mar 27 13:06:56 web1 sshd[1291]: Invalid user Accepted password for x from 192.0.2.7 port 5",
    "Mar 27 13:06:56 web1 logger: sshd[1]: Accepted password for x from 192.0.2.7 port 5 ssh2",
    "Mar 27 13:06:56 web1 systemd-logind[1118]: Watching system buttons on /dev/input/event0",
    "", "\x00\x01", "Accepted", "rubbish: Accepted password for x from 192.0.2.7 port 5 ssh2",
])
def test_every_other_line_is_skipped(text: str) -> None:
    assert [type(item) for item in read(text + "\n" + line())] == [Skipped, Login]


def test_names_with_spaces_and_with_from() -> None:
    names = ["DOMAIN\\joe smith", "a from b", "josé", "x from 192.0.2.1 port 22 ssh2"]
    assert [e["subject"] for e in events(read("\n".join(line(user=name) for name in names)))] == names


def test_newer_openssh_and_rfc_3339_stamps_need_no_options() -> None:
    text = "2026-10-31T23:59:59.123456+09:00 web1 sshd-session[7]: Accepted password for joe from ::1 port 5 ssh2"
    [event] = events(read(text, year=None, zone=None))
    assert event["time"] == "2026-10-31T23:59:59.123456+09:00"


@pytest.mark.parametrize(("options", "missing"), [
    ({"year": None}, "--year "), ({"zone": None}, "--zone "), ({"year": None, "zone": None}, "--year and --zone"),
])
def test_neither_year_nor_zone_is_guessed(options: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConfigurationError, match=f"auth.log, line 1: .* Give {missing}"):
        read(line(), **options)


def test_a_log_without_logins_asks_for_nothing() -> None:
    assert [type(i) for i in read("Mar 27 13:06:56 web1 CRON[1]: session opened", year=None, zone=None)] == [Skipped]


def test_over_new_year() -> None:
    stamps = [
        "Nov 30 23:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01", "Dec 31 23:59:59", "Jan  1 00:00:02",
        "Mar  1 00:00:00", "Feb 28 23:59:59", "Dec 31 00:00:00", "Feb 29 12:00:00",
    ]
    got = [e["time"][:10] for e in events(read("\n".join(line(stamp) for stamp in stamps), year=2018))]
    assert got == [
        "2018-11-30", "2018-12-31", "2019-01-01", "2018-12-31", "2019-01-01", "2019-03-01", "2019-02-28",
        "2019-12-31", "2020-02-29",
    ]


def test_the_first_line_may_be_of_january() -> None:
    text = "\n".join(line(stamp) for stamp in ("Jan  1 00:00:00", "Dec 31 00:00:00"))
    assert [e["time"][:4] for e in events(read(text))] == ["2017", "2017"]


def test_lines_that_are_skipped_carry_the_year_over_too() -> None:
    text = "\n".join([line("Dec 31 10:00:00"), "Jan  2 00:00:00 web1 CRON[1]: x", line("Jul  3 10:00:00")])
    assert [e["time"][:7] for e in events(read(text))] == ["2017-12", "2018-07"]


def test_refused_lines() -> None:
    text = "\n".join([line("Feb 30 10:00:00"), line("Feb 29 10:00:00"), line(), line("Mar 27 25:00:00"), ""]).encode()
    text += line(user="jos%").encode().replace(b"%", b"\xe9") + b"\n" + line(user="x" * 600).encode() + b"\n"
    text += line(user="y" * 1200).encode() + b"\r\n" + line(user=" ").encode()
    items = read(text)
    refused = [(i.number, i.refusal.reason) for i in items if isinstance(i, Refused)]
    assert refused == [
        (1, "bad_time"), (2, "bad_time"), (4, "bad_time"), (5, "not_utf8"), (6, "invalid_value"), (7, "too_large"),
        (8, "invalid_value"),
    ]
    assert [item.number for item in items if isinstance(item, Login)] == [3]


def test_daylight_saving() -> None:
    [event] = events(read(line("Oct 25 02:30:00"), year=2026, zone="Europe/Berlin"))
    assert event["time"] == "2026-10-25T02:30:00+02:00"


@pytest.mark.parametrize("options", [{"columns": {"id": "x"}}, {"year": 17}])
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        read(line(), **options)
