"""Submission on a real ledger and to real receivers: whatever is killed, each revision is accepted once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from console.main import main
from infra.clickhouse.client import connect
from infra.errors import CheckFailed, ConfigurationError
from infra.migrate import migrate
from schemas.calendar import month_name, next_month
from schemas.ledger import Approved, Drafted, Ended
from schemas.settings import Settings
from stream_jobs.month_close.report.act import record
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.report.life import Life
from stream_jobs.month_close.report.store import put_report
from stream_jobs.month_close.submit import desk
from stream_jobs.month_close.submit.answers import poll_receipts, receive, resolve
from stream_jobs.month_close.submit.by_hand import ByHand
from stream_jobs.month_close.submit.desk import submit
from stream_jobs.month_close.submit.transport import Outcome, Parcel, Receipt
from tests.integration.command import environment
from tests.integration.killed_submit import POINTS
from tests.receivers import LOOPBACK, SECRET, HttpReceiver, SftpReceiver, SmtpScript
from tests.unit import report_basis

AT = datetime(2026, 11, 4, 9, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
MONTHS = [date(2026, n, 1) for n in (6, 7, 8, 9)]
"""One for each point at which it is killed. The other tests have one each before those."""
WAYS = ("by-email", "by-https", "by-sftp", "by-folder")
TO = "orders@distributor.example"


class Receivers:
    """One of each; `accepted` counts what each has taken of a report."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.outbox = folder / "sftp", folder / "drop"
        for place in (self.inbox, self.outbox):
            place.mkdir()
        self.key_file = folder / "id_ed25519"
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(self.key_file))
        self.mail, self.http, self.sftp = SmtpScript(), HttpReceiver(), SftpReceiver(self.inbox, key)

    def close(self) -> None:
        self.mail.close()
        self.http.close()
        self.sftp.close()

    def catalogue(self) -> str:
        submissions: dict[str, dict[str, Any] | None] = {
            "by-email": {"by": "email", "to": [TO]},
            "by-https": {
                "by": "https", "url": self.http.url(host=LOOPBACK), "receipts": self.http.url("/r", host=LOOPBACK)
            },
            "by-sftp": {
                "by": "sftp", "host": LOOPBACK, "port": self.sftp.port, "user": "rollcall",
                "host_key": self.sftp.public_key,
            },
            "by-folder": {"by": "folder", "folder": str(self.outbox)},
            "by-nobody": None,
        }  # fmt: skip
        tenants = dict(zip(submissions, "abcde", strict=True))
        return yaml.safe_dump({
            "programmes": {"csp": {"time_zone": "Asia/Tokyo"}},
            "tenants": [{"id": t, "name": t.upper()} for t in "abcde"],
            "skus": [report_basis.sku("S1")],
            "agreements": [
                report_basis.agreement(
                    id, tenants=[tenants[id]], forms=["csv", "json"], **({"submission": how} if how else {})
                )
                for id, how in submissions.items()
            ],
        })  # fmt: skip

    def accepted(self, agreement: str, month: date) -> int:
        part = f"{agreement}-{month_name(month)}-"
        match agreement:
            case "by-email":
                return sum(f"Reference: {part}".encode() in text for _, text in self.mail.got)
            case "by-https":
                return sum(key.startswith(part) for key in self.http.accepted)
            case "by-sftp":
                return sum(path.name.startswith(part) for path in self.inbox.iterdir())
        return sum(path.name.startswith(part) for path in self.outbox.iterdir())


class World:
    """One Rollcall for all of these tests; each has a month of its own, in which nothing was done."""

    def __init__(self, settings: Settings, receivers: Receivers) -> None:
        self.settings, self.receivers = settings, receivers
        self.client: Client = connect(settings)
        self.month = date(2025, 1, 1)

    def next_month(self) -> None:
        self.month = next_month(self.month)
        self.receivers.mail.end = "answer"
        self.receivers.http.answers.clear()

    def approved(self, agreement: str, month: date | None = None, approve: bool = True) -> None:
        """A report of one line, drafted and approved."""
        month = month or self.month
        agreed = agreement_now(self.client, agreement, month)
        tenant = agreed.tenants[0]
        catalogue = report_basis.catalogue(
            agreements=[agreed.model_dump(mode="json")], tenants=[{"id": tenant, "name": "Customer"}]
        )
        made = report_basis.report({(tenant, "S1"): 7}, of=catalogue, month=month, name=agreement)
        ledger = Ledger(self.client, agreement, month)
        put_report(self.client, made)
        drafted = Drafted(
            revision=1, draft=1, report=made.sha256, seal_revision=1, seal_digest=made.seal.digest, reason="first draft"
        )
        record(ledger, drafted, actor="bob", at=AT, agreement=agreed)
        if approve:
            act = Approved(revision=1, draft=1, report=made.sha256, how="os-user")
            record(ledger, act, actor="alice", at=AT, agreement=agreed)

    def submit(self, agreement: str, month: date | None = None, at: datetime = AT, **more: Any) -> Outcome:
        with connect(self.settings) as client:
            return submit(
                self.settings, client, month or self.month, agreement, actor="alice", at=at, tell=print, **more
            )

    def resolve(self, agreement: str, month: date | None = None, *, arrived: bool, at: datetime = LATER) -> list[int]:
        return resolve(
            self.settings, self.client, month or self.month, agreement, arrived=arrived, note="they said so",
            actor="alice", at=at,
        )  # fmt: skip

    def receive(self, agreement: str, answer: Receipt) -> int:
        return receive(self.settings, self.client, self.month, agreement, answer, actor="alice", at=LATER)

    def life(self, agreement: str, month: date | None = None) -> Life:
        return Ledger(self.client, agreement, month or self.month).life()

    def accepted(self, agreement: str, month: date | None = None) -> int:
        return self.receivers.accepted(agreement, month or self.month)

    def ends(self, agreement: str, month: date | None = None) -> list[str]:
        newest = self.life(agreement, month).newest
        assert newest is not None
        return [attempt.outcome for attempt in newest.attempts]


@pytest.fixture(scope="module")
def shared(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("receivers")
    receivers = Receivers(folder)
    (folder / "catalogue.yaml").write_text(receivers.catalogue(), "utf-8")
    name = f"t{uuid.uuid4().hex[:12]}"
    settings = Settings(
        home=stack.home, catalogue=folder / "catalogue.yaml", local=stack.local.model_dump(),
        kafka={"bootstrap": stack.kafka.bootstrap, "topic": name, "group": name},
        clickhouse={"url": str(stack.clickhouse.url), "database": name},
        smtp={"host": LOOPBACK, "port": receivers.mail.port, "security": "none"},
        submit={"secret": SECRET, "ssh_key_file": receivers.key_file, "timeout_seconds": 5},
    )  # fmt: skip
    migrate(settings)
    yield World(settings, receivers)
    receivers.close()


@pytest.fixture
def world(shared: World) -> World:
    shared.next_month()
    return shared


def killed(settings: Settings, cases: list[Mapping[str, str]]) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.killed_submit"], text=True,
        env=environment(settings, ROLLCALL_SUBMIT_SECRET=SECRET),  # a dump of settings shows no secret
        input=json.dumps(cases), capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    statuses: list[int] = json.loads(done.stdout.splitlines()[-1])
    return statuses


def test_killed_between_any_two_steps_each_revision_is_accepted_once(world: World) -> None:
    """The oracle is what the receivers got. E-mail is not sent again before a person has said that it did not come."""
    cases = [(way, month, point) for way in WAYS for month, point in zip(MONTHS, POINTS, strict=True)]
    cases = [case for case in cases if case[0] in WAYS[:2] or case[2] == POINTS[2]]
    for way, month, _ in cases:
        world.approved(way, month)
    ended = killed(
        world.settings,
        [{"agreement": w, "month": month_name(m), "point": p, "at": AT.isoformat()} for w, m, p in cases],
    )
    assert ended == [-9] * len(cases)

    for way, month, point in cases:
        where = f"{way}, killed {point}"
        sent, recorded = point in POINTS[2:], point == POINTS[3]
        assert world.accepted(way, month) == sent, where
        state = world.life(way, month).state
        assert state == ("submitted" if recorded else "approved"), where
        if recorded:
            with pytest.raises(CheckFailed, match="sent already"):
                world.submit(way, month)
        elif way == "by-email" and point != POINTS[0]:
            with pytest.raises(CheckFailed, match="may have arrived"):
                world.submit(way, month)
            with pytest.raises(CheckFailed, match="still be under way"):
                world.resolve(way, month, arrived=False, at=AT)
            assert world.accepted(way, month) == sent, where
            assert world.resolve(way, month, arrived=sent) == [1]
            if not sent:
                assert world.submit(way, month).result == "accepted", where
        else:
            assert world.submit(way, month).result == "accepted", where
        assert world.accepted(way, month) == 1, where
        assert world.life(way, month).state == "submitted", where


def test_two_submitters_at_once_one_sends_and_the_other_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the ledger before either has written."""
    both = threading.Barrier(2, timeout=20)
    parcel = desk._parcel

    def together(*arguments: Any) -> Parcel:
        made = parcel(*arguments)
        both.wait()
        return made

    monkeypatch.setattr(desk, "_parcel", together)
    world.approved("by-email")

    def attempt(_: int) -> str:
        try:
            return world.submit("by-email").result
        except CheckFailed as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(attempt, range(2)))
    assert said[0] == "accepted"
    assert "at the same time" in said[1]
    assert world.accepted("by-email") == 1
    assert world.ends("by-email") == ["accepted"]


def test_nothing_is_sent_without_approval(world: World) -> None:
    for way in WAYS:
        with pytest.raises(CheckFailed, match="no draft yet"):
            world.submit(way)
        world.approved(way, approve=False)
        with pytest.raises(CheckFailed, match="not approved"):
            world.submit(way)
        assert world.accepted(way) == 0
        assert world.ends(way) == []


def test_an_unknown_outcome_is_tried_again_under_the_same_key_and_taken_once(world: World) -> None:
    world.approved("by-https")
    world.receivers.http.answers[:] = ["drop", 500, 503]
    assert [world.submit("by-https").result for _ in range(4)] == ["unknown", "unknown", "unknown", "accepted"]
    assert world.ends("by-https") == ["unknown", "unknown", "unknown", "accepted"]
    assert world.accepted("by-https") == 1
    assert len({headers["Idempotency-Key"] for _, _, headers in world.receivers.http.requests[-4:]}) == 1


def test_an_email_without_an_answer_waits_for_a_person(world: World) -> None:
    world.approved("by-email")
    world.receivers.mail.end = "drop"
    assert world.submit("by-email").result == "unknown"
    world.receivers.mail.end = "answer"
    with pytest.raises(CheckFailed, match="may have arrived"):
        world.submit("by-email")
    with pytest.raises(CheckFailed, match="may have arrived"):
        world.submit("by-email", transport=ByHand(world.receivers.outbox))
    assert world.resolve("by-email", arrived=False, at=AT) == [1], "it has ended: nothing is under way"
    assert world.submit("by-email").result == "accepted"
    assert world.ends("by-email") == ["failed", "accepted"]
    with pytest.raises(CheckFailed, match="in doubt"):
        world.resolve("by-email", arrived=True)


def test_a_receipt_settles_what_nobody_knew(world: World) -> None:
    world.approved("by-email")
    world.receivers.mail.end = "drop"
    world.submit("by-email")
    assert world.receive("by-email", Receipt("accepted", "R-7")) == 1
    newest = world.life("by-email").newest
    assert newest is not None
    assert (newest.state, newest.receipt, newest.unresolved) == ("acknowledged", "R-7", False)
    with pytest.raises(CheckFailed, match="waits for an answer"):
        world.receive("by-email", Receipt("rejected", reason="too late"))


def test_receipts_are_polled_and_recorded_once(world: World) -> None:
    def poll(way: str) -> list[int]:
        return poll_receipts(world.settings, world.client, world.month, way, actor="a", at=LATER, tell=print)

    world.approved("by-https")
    assert poll("by-https") == [], "nothing was sent"
    world.submit("by-https")
    key = world.receivers.http.requests[-1][2]["Idempotency-Key"]
    assert poll("by-https") == [], "they do not know it yet"
    world.receivers.http.receipts[key] = b'{"status": "pending"}'
    assert poll("by-https") == []
    said = {"status": "rejected", "receipt": "X-1", "reason": "注文番号が違います"}
    world.receivers.http.receipts[key] = json.dumps(said).encode()
    assert poll("by-https") == [1]
    assert poll("by-https") == []
    newest = world.life("by-https").newest
    assert newest is not None
    assert (newest.state, newest.receipt, newest.rejected_reason) == ("rejected", "X-1", "注文番号が違います")


class Interrupted:
    """A transport while whose attempt something else happens."""

    name, target, carries_key = "email", TO, False

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def send(self, parcel: Parcel) -> Outcome:
        self._happens()
        return Outcome("accepted", "250 ok")


def test_what_others_write_meanwhile_is_not_in_the_way_of_the_end(world: World) -> None:
    world.approved("by-email")
    agreed = agreement_now(world.client, "by-email", world.month)

    def contradict() -> None:
        ended = Ended(revision=1, attempt=1, outcome="failed", note="I think so")
        record(Ledger(world.client, "by-email", world.month), ended, actor="bob", at=AT, agreement=agreed)

    with pytest.raises(CheckFailed, match="but meanwhile somebody said that it ended failed"):
        world.submit("by-email", transport=Interrupted(contradict))

    def fault() -> None:
        raise RuntimeError("not foreseen")

    with pytest.raises(RuntimeError, match="not foreseen"):
        world.submit("by-email", transport=Interrupted(fault))
    assert world.ends("by-email") == ["failed", "unknown"]


def test_settings_that_cannot_send_leave_no_attempt(world: World) -> None:
    for way in WAYS[:3]:
        world.approved(way)
    bare = world.settings.model_copy(update={"smtp": Settings().smtp, "submit": Settings().submit})
    for way in WAYS[:3]:
        with pytest.raises(ConfigurationError, match="ROLLCALL_"):
            submit(bare, world.client, world.month, way, actor="alice", at=AT, tell=print)
        assert world.ends(way) == []


def test_by_hand_through_the_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are written, a person says that they arrived, the distributor refuses them."""
    for variable, value in environment(world.settings, ROLLCALL_SUBMIT_SECRET=SECRET).items():
        monkeypatch.setenv(variable, value)
    month, folder = month_name(world.month), tmp_path / "hand"

    def report(command: str, *options: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(["report", command, month, *options])
        return ended.value.code, capsys.readouterr().err

    world.approved("by-nobody")
    code, told = report("submit")
    assert code == 2
    assert "--by-hand" in told
    code, told = report("submit", "--by-hand", "--to", str(folder))
    assert code == 0, told
    (place,) = folder.iterdir()
    assert {path.name for path in place.iterdir()} == {
        "manifest.json", f"rollcall-by-nobody-{month}-r1.csv", f"rollcall-by-nobody-{month}-r1.json"
    }  # fmt: skip
    assert str(place) in told
    assert report("submit", "--by-hand")[0] == 1, "it may have been sent"
    assert report("resolve")[0] == 2, "which is it?"
    assert report("resolve", "--arrived")[0] == 2, "who says so?"
    assert report("resolve", "--arrived", "--note", "through their portal")[0] == 0
    assert report("receipt", "--accepted", "R-1", "--rejected", "no")[0] == 2
    assert report("receipt", "--rejected", "the order number is wrong")[0] == 0
    assert world.life("by-nobody").state == "rejected"
