"""`close --drain` with the real dedup job, in a process of its own."""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import Any

import pytest
from kafka import KafkaProducer
from pydantic import BaseModel

from infra.errors import CheckFailed, OutOfReach, RollcallError
from infra.kafka.connection import kafka_python_options
from schemas.settings import PREFIX, Settings
from stream_jobs.month_close.close import close_month
from stream_jobs.month_close.drain import drain
from stream_jobs.month_close.verify import verify_month
from tests.integration.closing import OCTOBER

END_IN_TOKYO = "2026-10-31T23:59:59.999+09:00"
NOVEMBER_IN_TOKYO = "2026-11-01T00:00:00+09:00"


def push(settings: Settings, users: range, time: str = END_IN_TOKYO, tenant: str = "customer-a") -> None:
    producer = KafkaProducer(**kafka_python_options(settings.kafka), acks="all")
    for user in users:
        event = {
            "specversion": "1.0", "id": f"{tenant}{user}{time}", "source": "/test", "type": "rollcall.login.v1",
            "time": time, "subject": f"user{user}@{tenant}.example", "data": {"tenant": tenant, "sku": "DAAS-PREM-T1"},
        }  # fmt: skip
        producer.send(settings.kafka.topic, json.dumps(event).encode())
    producer.flush(10)
    producer.close()


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings as variables, which is how they reach a worker."""
    for field in Settings.model_fields:
        value = getattr(settings, field)
        values = {field: value} if not isinstance(value, BaseModel) else {f"{field}_{k}": v for k, v in value}
        for name, given in values.items():
            if given is not None:
                monkeypatch.setenv(f"{PREFIX}{name}".upper(), str(given))
    return settings


def sums(results: list[Any]) -> dict[str, int]:
    return {c.tenant: c.active_users for result in results for c in result.counts}


def test_drains_what_was_pushed_and_seals_it(environment: Settings) -> None:
    push(environment, range(300))
    push(environment, range(100))
    push(environment, range(50), tenant="customer-b")
    push(environment, range(300, 400), NOVEMBER_IN_TOKYO)
    said: list[str] = []
    [one] = close_month(environment, OCTOBER, drain=True, tell=said.append)
    assert sums([one]) == {"customer-a": 300, "customer-b": 50}
    [again] = close_month(environment, OCTOBER, drain=True, tell=said.append)
    assert (again.outcome, again.revision, again.digest) == ("unchanged", 1, one.digest)
    push(environment, range(290, 310))
    [late] = close_month(environment, OCTOBER, drain=True, tell=said.append)
    assert (late.outcome, late.revision, sums([late])) == ("new", 2, {"customer-a": 310, "customer-b": 50})
    assert all(result.holds for result in verify_month(environment, OCTOBER))


def test_a_month_that_runs_is_refused(environment: Settings) -> None:
    with pytest.raises(CheckFailed, match="month 2149-05 is not over"):
        close_month(environment, date(2149, 5, 1), drain=True, tell=print)


@pytest.mark.parametrize(("code", "kind"), [(3, OutOfReach), (1, CheckFailed), (70, RollcallError)])
def test_a_worker_that_fails_is_reported_with_its_words(code: int, kind: type[RollcallError]) -> None:
    said: list[str] = []
    program = f"import sys; print('reading'); print('rollcall: the reason', file=sys.stderr); sys.exit({code})"
    with pytest.raises(kind, match=rf"(?s)exit code {code}.*the reason") as failed:
        drain(said.append, [sys.executable, "-c", program])
    assert failed.type is kind
    assert "worker: rollcall: the reason" in said
