"""What a source must be told, by its kind: every fault in one sentence, and no secret in clear."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from console.source_jobs import job_of, job_of_line
from infra.errors import ConfigurationError
from producers.polling.brokers import open_broker, secret
from schemas.settings import Settings
from schemas.source_settings import SETTINGS, moment, source_settings

RIGHT: dict[str, dict[str, Any]] = {
    "citrix": {"client": "c", "secret": "env:KEY"}, "avd": {"directory": "d", "client": "c", "secret": "env:KEY"},
    "guacamole": {"zone": "Asia/Tokyo"}, "horizon": {"zone": "Asia/Tokyo", "prefix": "h_"}, "syslog": {},
}  # fmt: skip


def test_every_kind_has_settings_that_are_right() -> None:
    assert set(RIGHT) == set(SETTINGS)
    for kind, given in RIGHT.items():
        assert isinstance(source_settings(kind, given), SETTINGS[kind])


@pytest.mark.parametrize(("kind", "change", "told"), [
    ("citrix", {"client": None}, "client"), ("citrix", {"secret": "hunter2"}, "secret"),
    ("citrix", {"zone": "UTC"}, "zone is no setting of this kind"),
    ("avd", {"customer": "x"}, "customer is no setting"),
    ("guacamole", {"zone": "Tokio"}, "zone"), ("guacamole", {"overlap_minutes": 30}, "overlap_minutes"),
    ("horizon", {"prefix": "h_; drop"}, "prefix"), ("citrix", {"since": "October"}, "since"),
    ("citrix", {"every_seconds": 0}, "every_seconds"), ("syslog", {"since": "2026-10-01"}, "since is no setting"),
])  # fmt: skip
def test_a_fault_is_named(kind: str, change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        job_of("/s", kind, "https://x", RIGHT[kind] | change)
    assert "hunter2" not in str(refused.value)


def test_all_faults_at_once_and_an_unknown_kind() -> None:
    with pytest.raises(ConfigurationError, match=r"client is missing; secret is missing; size is no setting"):
        job_of("/s", "citrix", "https://x", {"size": 1})
    with pytest.raises(ConfigurationError, match="choose one of citrix, avd"):
        job_of("/s", "workspaces", "https://x", {})


def test_a_moment_is_a_day_in_utc_or_a_time() -> None:
    day = datetime(2026, 10, 1, tzinfo=UTC)
    for same in ("2026-10-01", date(2026, 10, 1), "2026-10-01T09:00:00+09:00", day):
        assert moment(same) == day
    for wrong in ("October", "2026-13-01", 5, None):
        with pytest.raises(ValueError, match="write a day"):
            moment(wrong)


def test_where_a_secret_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    monkeypatch.setenv("KEY", "other")
    assert (secret(f"file:{tmp_path}/key"), secret("env:KEY"), secret(None)) == ("s3cret", "other", "")
    for place in ("env:NOBODY", f"file:{tmp_path}/nowhere"):
        with pytest.raises(ConfigurationError, match="secret"):
            secret(place)
    monkeypatch.setenv("SOURCE_SECRET", "x")
    given = {"zone": "UTC", "client": None, "policy": {}}
    line = job_of_line(Settings(catalogue=tmp_path / "none.yaml"), "guacamole", "sqlite://", "/g", None, given)
    assert line.settings.model_dump()["secret"] == "env:SOURCE_SECRET"


CATALOGUE = """
programmes: {p: {time_zone: UTC, reconnects: ignore}}
tenants: [{id: a, name: A}]
skus: [{id: S, name: S, programme: p, family: f, deployment: cloud}]
"""


@pytest.mark.parametrize(("kind", "given", "policy"), [
    ("citrix", {"client": "c", "sku": "S"}, {"reconnects": "ignore"}),
    ("citrix", {"client": "c", "sku": "S", "policy": {"reconnects": "count"}}, {"reconnects": "count"}),
    ("citrix", {"client": "c"}, {}),
    ("syslog", {"sku": "S"}, {"reconnects": "ignore"}),
    ("syslog", {"sku": "S", "map": "gate.yaml"}, {}),
    ("guacamole", {"zone": "UTC", "sku": "S"}, {}),
])  # fmt: skip
def test_the_programme_says_what_the_command_line_leaves_open(
    kind: str, given: dict[str, Any], policy: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE)
    settings = Settings(catalogue=tmp_path / "catalogue.yaml")
    assert job_of_line(settings, kind, "tcp://x:1", "/s", None, given).settings.policy == policy


@pytest.mark.parametrize(("kind", "reads", "told"), [
    ("citrix", "http://monitor.example/x", "not https"), ("citrix", "monitor", "is no URL"),
    ("avd", "https://api.loganalytics.azure.com", "is no workspace"), ("guacamole", "nonsense", "no URL of a database"),
])  # fmt: skip
def test_where_it_is_read_is_checked(
    kind: str, reads: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    with pytest.raises(ConfigurationError, match=told) as refused:
        open_broker(reads, source_settings(kind, RIGHT[kind]), tmp_path)
    assert "s3cret" not in str(refused.value)
