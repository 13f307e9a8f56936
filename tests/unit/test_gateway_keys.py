"""Keys: who may send, for whom; rotated with overlap, revoked without a restart; and how many events a second."""

from __future__ import annotations

import hashlib
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console.main import main
from infra.errors import ConfigurationError
from producers.gateway import keys
from producers.gateway.keys import Denied, KeyRing
from producers.gateway.rate import Bucket

NOW = datetime(2026, 10, 1, tzinfo=UTC)


class Clock:
    at = 0.0

    def __call__(self) -> float:
        self.at += keys.LOOK_SECONDS
        return self.at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys.json"


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


def test_the_file_holds_no_secret_and_is_its_owners(file: Path) -> None:
    key, token = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    secret = token.split("_", 2)[2]
    assert secret not in file.read_text()
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_is_known_revoked_and_rotated_while_the_ring_lives(file: Path) -> None:
    ring = KeyRing(file, Clock())
    old, token = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    assert ring.grant(bearer(token), (), NOW).key == old
    new, replaced = keys.rotate(file, old.id, timedelta(hours=1), NOW)
    assert (new.name, new.sources, new.tenants) == (old.name, old.sources, old.tenants)
    assert ring.grant(bearer(token), (), NOW + timedelta(minutes=59)).key.id == old.id
    assert ring.grant(bearer(replaced), (), NOW + timedelta(minutes=61)).key.id == new.id
    with pytest.raises(Denied, match="was replaced"):
        ring.grant(bearer(token), (), NOW + timedelta(hours=1))
    keys.revoke(file, new.id, NOW)
    with pytest.raises(Denied, match=r"\(citrix\) was revoked") as denied:
        ring.grant(bearer(replaced), (), NOW)
    assert denied.value.status == 401
    with pytest.raises(ConfigurationError, match="is revoked: add a new one"):
        keys.rotate(file, new.id, timedelta(0), NOW)


@pytest.mark.parametrize(
    "change",
    [lambda t: "", lambda t: t, lambda t: f"Basic {t}", lambda t: f"Bearer {t[:-1]}",
     lambda t: f"Bearer {t[:-1]}{'A' if t[-1] != 'A' else 'B'}", lambda t: f"Bearer {t}\xff",
     lambda t: f"Bearer rcg_{'0' * 12}_{t.split('_', 2)[2]}"],
)  # fmt: skip
def test_anything_else_is_no_key(file: Path, change: object) -> None:
    _, token = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    assert callable(change)
    with pytest.raises(Denied) as denied:
        KeyRing(file, Clock()).grant(change(token).encode("latin-1"), (), NOW)
    assert denied.value.status == 401
    assert token not in str(denied.value)


def test_a_certificate_that_the_key_asks_for(file: Path) -> None:
    _, token = keys.add(file, "citrix", ("/a",), ("t",), NOW, certificate="citrix.example")
    ring = KeyRing(file, Clock())
    assert ring.grant(bearer(token), {"citrix.example", "other"}, NOW)
    with pytest.raises(Denied, match=r"citrix\.example") as denied:
        ring.grant(bearer(token), {"other"}, NOW)
    assert denied.value.status == 403


def test_whom_a_key_speaks_for(file: Path) -> None:
    _, token = keys.add(file, "citrix", ("/citrix/tokyo-1", "/avd/*"), ("a", "b"), NOW)
    may = KeyRing(file, Clock()).grant(bearer(token), (), NOW).may
    assert may("/citrix/tokyo-1", "a") is None
    assert may("/avd/anything", "b") is None
    pointers = [fault and fault[0] for fault in (may("/citrix/tokyo-10", "a"), may("/avd", "a"), may("/avd/1", "c"),
                                                 may("/avd/1", None))]  # fmt: skip
    assert pointers == ["/source", "/source", "/data/tenant", "/data/tenant"]
    _, token = keys.add(file, "all", ("*",), ("*",), NOW)
    may = KeyRing(file, Clock()).grant(bearer(token), (), NOW).may
    assert may("/anything", None) is None


def test_a_file_that_breaks_leaves_the_keys_as_they_were_and_is_told(file: Path) -> None:
    _, token = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    ring = KeyRing(file, Clock())
    assert ring.in_force(NOW) == 1
    good = file.read_text()
    file.write_text(good.replace('"version": 1', '"version": 2'))
    assert ring.grant(bearer(token), (), NOW)
    assert "version" in (ring.fault or "")
    with pytest.raises(ConfigurationError, match="version"):
        keys.load(file)
    file.write_text(good)
    assert (ring.in_force(NOW), ring.fault) == (1, None)


def test_a_file_that_is_gone_leaves_no_key_in_force_until_it_is_back(file: Path) -> None:
    _, token = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    ring = KeyRing(file, Clock())
    assert ring.grant(bearer(token), (), NOW)
    moved = file.rename(file.with_name("elsewhere"))
    with pytest.raises(Denied, match="send again") as denied:
        ring.grant(bearer(token), (), NOW)
    assert denied.value.status == 503, "it may be a mistake: the sender keeps what it has"
    assert (ring.in_force(NOW), "there is no file of keys" in (ring.fault or "")) == (0, True)
    with pytest.raises(Denied) as restarted:
        KeyRing(file, Clock()).grant(bearer(token), (), NOW)
    assert restarted.value.status == 503
    moved.rename(file)
    assert ring.grant(bearer(token), (), NOW)
    assert ring.fault is None


def test_a_key_and_what_replaces_it_are_one_line(file: Path) -> None:
    first, _ = keys.add(file, "citrix", ("/a",), ("t",), NOW)
    second, _ = keys.rotate(file, first.id, timedelta(hours=1), NOW)
    third, _ = keys.rotate(file, second.id, timedelta(hours=1), NOW)
    assert [key.line for key in keys.load(file).keys] == [None, first.id, first.id]
    assert third.line == first.id


def test_keys_that_are_over_are_not_in_force(file: Path) -> None:
    one, _ = keys.add(file, "one", ("/a",), ("t",), NOW)
    two, _ = keys.add(file, "two", ("/a",), ("t",), NOW)
    ring = KeyRing(file, Clock())
    assert ring.in_force(NOW) == 2
    keys.revoke(file, one.id, NOW)
    keys.rotate(file, two.id, timedelta(hours=1), NOW)
    assert [ring.in_force(NOW + timedelta(hours=h)) for h in (0, 1)] == [2, 1]


def test_wrong_usage(file: Path) -> None:
    for name, sources, tenants in (("", ("/a",), ("t",)), ("a", (), ("t",)), ("a", ("/a",), ()), ("a", ("",), ("t",))):
        with pytest.raises(ConfigurationError, match="--source"):
            keys.add(file, name, sources, tenants, NOW)
    with pytest.raises(ConfigurationError, match="`rollcall gateway key list`"):
        keys.revoke(file, "0" * 12, NOW)


def test_a_bucket_lets_a_batch_run_into_debt_and_then_waits_for_it() -> None:
    bucket = Bucket.full(100.0, 0.0)
    assert bucket.wait(0.0) == 0
    bucket.take(500)  # 300 more than the two seconds' worth in it
    assert bucket.wait(0.0) == pytest.approx(3.01)
    assert bucket.wait(2.9) > 0
    assert bucket.wait(3.01) == 0
    sent = 0
    bucket = Bucket.full(100.0, 0.0)
    for tenth in range(1000):  # a hundred seconds of somebody who always tries
        if bucket.wait(tenth / 10) == 0:
            bucket.take(70)
            sent += 70
    assert 9_900 <= sent <= 10_000 + 200 + 70


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["gateway", "key", *arguments])
    return int(str(ended.value.code))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path))
    assert command("add", "citrix", "--source", "/a", "--source", "/b/*", "--tenant", "t", "--rate", "7") == 0
    token = capsys.readouterr().out.strip()
    id = token.split("_")[1]
    assert KeyRing(tmp_path / "gateway-keys.json", Clock()).grant(bearer(token), (), NOW).key.sources == ("/a", "/b/*")
    assert command("add", "--replaces", id, "--overlap-hours", "2") == 0
    assert capsys.readouterr().out.strip() != token
    assert command("revoke", id) == 0
    capsys.readouterr()
    assert command("list", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"], row["rate"]) for row in listed] == [
        ("citrix", "revoked", 7.0), ("citrix", "in force", 7.0)
    ]  # fmt: skip
    assert token not in json.dumps(listed)
    assert command("add", "nobody") == 2
    assert command("add", "x", "--replaces", id) == 2
    assert command("revoke", "0" * 12) == 2
    assert "`rollcall gateway key list`" in capsys.readouterr().err
