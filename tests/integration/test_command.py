"""The command as a new user types it: the main path from an empty home, bad input, and errors with their cures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from infra.local.ports import LOOPBACK, free_port
from schemas.settings import Settings
from tests.integration.command import rollcall
from tests.unit.logins import login, raw

COUNTED = "month,tenant,sku,active_users\n2026-10,customer-a,DAAS-PREM-T1,{}\n"


def written(path: Path, *lines: bytes) -> str:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def plain(user: str, **changes: object) -> bytes:
    return raw(login(subject=user, **changes))


def test_push_drain_count_close_verify_in_any_order_and_however_often(settings: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "a.ndjson", *(plain(f"user{n % 7}", id=str(n)) for n in range(50)))
    for arguments in (("push", file), ("worker", "--drain"), ("push", file), ("push", file), ("worker", "--drain")):
        outcome = rollcall(settings, *arguments)
        assert outcome.code == 0, outcome.err
    assert rollcall(settings, "counts", "2026-10", "--format", "csv").out == COUNTED.format(7)
    for _ in range(2):
        outcome = rollcall(settings, "close", "2026-10", "--drain", "--format", "csv")
        assert (outcome.code, outcome.out) == (0, COUNTED.format(7)), outcome.err
    assert "unchanged" in outcome.err
    assert rollcall(settings, "counts", "2026-10", "--revision", "1", "--format", "csv").out == COUNTED.format(7)
    verified = rollcall(settings, "verify", "2026-10", "--format", "json")
    assert (verified.code, [row["holds"] for row in json.loads(verified.out)]) == (0, ["yes"])


def test_standard_input_and_unknown_options(settings: Settings) -> None:
    outcome = rollcall(settings, "push", "-", "--format", "cloudevents", stdin=plain("alice") + b"\n")
    assert outcome.code == 0, outcome.err
    assert rollcall(settings, "worker", "--drain").code == 0
    assert rollcall(settings, "counts", "2026-10", "--format", "csv").out == COUNTED.format(1)
    wrong = rollcall(settings, "push", "-", "--frmat", "csv")
    assert (wrong.code, "Unknown option" in wrong.err) == (2, True)


def test_drain_does_not_wait_behind_the_mark_of_somebody_s_transaction(settings: Settings) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap, transactional_id=settings.kafka.topic, acks="all"
    )
    producer.init_transactions()
    for partition in (0, 0, 1):
        producer.begin_transaction()
        producer.send(settings.kafka.topic, plain(f"user{partition}"), partition=partition)
        producer.commit_transaction()
    producer.close()
    outcome = rollcall(settings, "worker", "--drain", timeout=60)
    assert outcome.code == 0, outcome.err
    assert rollcall(settings, "counts", "2026-10", "--format", "csv").out == COUNTED.format(2)


BAD = plain("eve", specversion="0.3")


@pytest.mark.parametrize("how", [(), ("--raw",)])
def test_an_array_of_good_and_bad_costs_no_neighbour(
    settings: Settings, client: Client, tmp_path: Path, how: tuple[str, ...]
) -> None:
    line = b"[" + b", ".join([plain("alice"), BAD, plain("bob")]) + b"]"
    outcome = rollcall(settings, "push", written(tmp_path / "a.ndjson", line), *how)
    assert outcome.code == (0 if how else 1), outcome.err
    assert rollcall(settings, "worker", "--drain").code == 0
    assert rollcall(settings, "counts", "2026-10", "--format", "csv").out == COUNTED.format(2)
    set_aside = client.query("SELECT place, max(latest).3 FROM quarantine GROUP BY place").result_rows
    assert set_aside == ([(1, "wrong_specversion")] if how else [])
    rejects = [file.read_bytes() for file in (settings.home / "rejects").glob("a.ndjson.*.rejects")]
    assert how or BAD + b"\n" in rejects


@pytest.mark.parametrize(
    "arguments",
    [("settings",), ("catalogue", "history"), ("quarantine", "list"), ("counts", "2026-10"),
     ("verify", "2026-10"), ("explain", "2026-10", "customer-a", "DAAS-PREM-T1")],
)  # fmt: skip
def test_every_table_is_also_json_and_csv(settings: Settings, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    if arguments[0] in ("counts", "verify", "explain"):
        assert rollcall(settings, "push", written(tmp_path / "a.ndjson", plain("alice"))).code == 0
        assert rollcall(settings, "close", "2026-10", "--drain").code == 0
    as_json = rollcall(settings, *arguments, "--format", "json")
    as_csv = rollcall(settings, *arguments, "--format", "csv")
    assert (as_json.code, as_csv.code) == (0, 0), as_json.err
    rows = json.loads(as_json.out)
    assert as_csv.out.count("\n") >= len(rows) + 1
    assert not rows or as_csv.out.splitlines()[0] == ",".join(rows[0])


def test_errors_say_what_where_and_the_cure(
    settings: Settings, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    nowhere = f"{LOOPBACK}:{free_port()}"
    broken = written(tmp_path / "broken.yaml", b"programmes:", b"  p: {time_zone: Mars/Olympus}", b"tenants: []")
    in_the_way = written(tmp_path / "file", b"")
    cases: list[tuple[tuple[str, ...], dict[str, str], int, str]] = [
        (("counts", "2026-10"), {"ROLLCALL_CLICKHOUSE_URL": f"http://{nowhere}"}, 3, "ROLLCALL_CLICKHOUSE_URL"),
        (("counts", "2026-10"), {"ROLLCALL_CLICKHOUSE_PASSWORD": "wrong"}, 2, "ROLLCALL_CLICKHOUSE_PASSWORD"),
        (("push", in_the_way), {"ROLLCALL_KAFKA_BOOTSTRAP": nowhere}, 3, "ROLLCALL_KAFKA_BOOTSTRAP"),
        (("catalogue", "check", broken), {}, 2, "broken.yaml:2"),
        (("counts", "2031-01"), {}, 1, "2031-01"),
        (("counts", "2026-13"), {}, 2, "YYYY-MM"),
        (("close", "2026-10"), {"ROLLCALL_CLOSE_DEADLINE_SECONDS": "2"}, 1, "no worker is running"),
        (("close", "2099-10", "--drain"), {}, 1, "is not over"),
        (("push", str(tmp_path / "none")), {}, 2, "there is no such file"),
        (("up",), {"ROLLCALL_HOME": in_the_way}, 2, "ROLLCALL_HOME"),
        (("counts", "2026-10"), {"ROLLCALL_KAFKA_PARTITIONS": "many"}, 2, "ROLLCALL_KAFKA_PARTITIONS"),
    ]
    for arguments, changes, code, named in cases:
        outcome = rollcall(settings, *arguments, **changes)
        assert outcome.code == code, (arguments, outcome)
        assert named in outcome.err, (arguments, outcome.err)
        assert "Traceback" not in outcome.err
