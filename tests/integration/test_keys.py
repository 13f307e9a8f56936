"""A new pseudonym key begins at a month's edge: refused within a month, by the wrong key, and while a worker runs."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from infra.clickhouse.client import connect
from infra.errors import CheckFailed, ConfigurationError
from infra.kafka.group import members
from infra.keyring import parse_keys
from infra.keys import add_key, check_keys, fingerprint
from infra.pseudonyms import Pseudonyms
from infra.waiting import wait_until
from tests.integration.command import inside, rollcall, start
from tests.integration.conftest import MakeSettings

ONE, TWO, THREE, FOUR = (digits * 32 for digits in ("11", "22", "33", "44"))


def login(time: str) -> bytes:
    return json.dumps({
        "specversion": "1.0", "id": time, "source": "/citrix/tokyo-1", "type": "rollcall.login.v1", "time": time,
        "subject": "alice", "data": {"tenant": "customer-a", "sku": "DAAS-PREM-T1"},
    }).encode() + b"\n"  # fmt: skip


def alice(key: str) -> bytes:
    return Pseudonyms(bytes.fromhex(key)).of("customer-a", "alice")


def test_a_key_begins_at_a_month_s_edge(make_settings: MakeSettings, tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    ring.write_text(f"{ONE}\n")
    settings = make_settings(key_file=ring, worker={"session_seconds": 6})

    with connect(settings) as client:
        client.insert(
            "active_users", [[date(2026, 3, 1), "customer-a", "DAAS-PREM-T1", alice(ONE), 0]],
            column_names=["month", "tenant", "sku", "subject", "recorded_in"],
        )  # fmt: skip
        late = f"{ONE}\n2026-03 {TWO}\n"
        with pytest.raises(ConfigurationError, match=r"the earliest month is 2026-04"):
            add_key(settings, client, parse_keys(late, "here"), date(2026, 3, 1))
        with pytest.raises(ConfigurationError, match=r"keys add --from-month 2026-03"):
            check_keys(client, parse_keys(late, "here"))

    # While a worker runs no key begins; one that saw another begin ends itself.
    worker = start(settings, "worker")
    try:
        assert wait_until(lambda: members(settings.kafka, f"{settings.kafka.group}-g1") == 1, 60, pause=0.2)
        ring.write_text(f"{ONE}\n2026-04 {TWO}\n2099-01 {THREE}\n")
        with connect(settings) as client:
            with pytest.raises(CheckFailed, match="1 workers run"):
                add_key(settings, client, parse_keys(ring.read_text(), "here"), date(2026, 4, 1))
            client.insert("subject_keys", [[date(2099, 1, 1), fingerprint(bytes.fromhex(THREE))]],
                          column_names=["valid_from", "fingerprint"])  # fmt: skip
        said = worker.communicate(timeout=60)[1].decode()
        assert (worker.returncode, "another pseudonym key begins" in said) == (70, True), said
    finally:
        worker.kill()
        worker.wait(10)
    assert wait_until(lambda: members(settings.kafka, f"{settings.kafka.group}-g1") == 0, 60, pause=0.2)
    added = inside(settings, "keys", "add", "--from-month", "2026-04")
    assert added.code == 0, added.err
    assert inside(settings, "keys", "show").code == 0

    # A late login of March by the old key, and April's by the new one: nobody is counted twice.
    times = ("2026-03-20T12:00:00+09:00", "2026-03-31T23:59:59+09:00", "2026-04-01T00:00:00+09:00")
    file = tmp_path / "logins.ndjson"
    file.write_bytes(b"".join(map(login, times)))
    pushed = inside(settings, "push", str(file))
    assert pushed.code == 0, pushed.err
    drained = rollcall(settings, "worker", "--drain")
    assert drained.code == 0, drained.err
    with connect(settings) as client:
        stored = client.query("SELECT DISTINCT month, subject FROM active_users").result_rows
        assert set(stored) == {(date(2026, 3, 1), alice(ONE)), (date(2026, 4, 1), alice(TWO))}
        with pytest.raises(ConfigurationError, match=r"key from 2026-04.*is not given"):
            add_key(settings, client, parse_keys(ONE, "here"), date(2026, 5, 1))
        with pytest.raises(ConfigurationError, match=r"from 2026-04 is not the one"):
            add_key(settings, client, parse_keys(f"{ONE}\n2026-04 {FOUR}", "here"), date(2026, 4, 1))
