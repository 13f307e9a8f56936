"""Reports by HTTPS: the signature, each kind of answer, and receipts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from infra.errors import ConfigurationError, OutOfReach
from infra.local.ports import free_port
from schemas.agreement import HttpsSubmission
from schemas.settings import Settings
from stream_jobs.month_close.submit.https import HttpsTransport, body_of
from stream_jobs.month_close.submit.signed import LARGEST_ANSWER
from stream_jobs.month_close.submit.transport import Receipt
from tests.receivers import SECRET, HttpReceiver, silent
from tests.unit.parcels import FILES, PARCEL

Make = Callable[..., HttpReceiver]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def receiver(server_side: ssl.SSLContext) -> Iterator[Make]:
    made: list[HttpReceiver] = []

    def make(*answers: int | str) -> HttpReceiver:
        made.append(HttpReceiver(server_side, *answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def settings(authority: trustme.CA, tmp_path: Path) -> Settings:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return Settings(submit={"secret": SECRET, "ca_file": file, "timeout_seconds": 2})


def transport(settings: Settings, url: str, receipts: str | None = None, **more: Any) -> HttpsTransport:
    submission = HttpsSubmission.model_validate({"by": "https", "url": url, "receipts": receipts})
    return HttpsTransport(settings, submission, **more)


def test_the_receiver_gets_every_byte_and_can_check_them(receiver: Make, settings: Settings) -> None:
    server = receiver()
    outcome = transport(settings, server.url()).send(PARCEL)
    assert (outcome.result, outcome.note) == ("accepted", "202 thank you")
    body = server.accepted[PARCEL.key]
    files = [(f["name"], f["media_type"], base64.b64decode(f["content"])) for f in body["files"]]
    assert files == [(f.name, f.media_type, f.content) for f in FILES]
    assert [f["sha256"] for f in body["files"]] == [hashlib.sha256(f.content).hexdigest() for f in FILES]
    assert (body["type"], body["key"], body["purchase_order"]) == ("rollcall.report.v1", PARCEL.key, "発注-4711")


def test_the_signature_is_what_the_standard_says(receiver: Make, settings: Settings) -> None:
    """By hand, as a receiver in another language does it."""
    at = datetime.now(UTC)
    server = receiver()
    transport(settings, server.url(), clock=lambda: at).send(PARCEL)
    ((_, _, headers),) = server.requests
    signed = f"{PARCEL.key}.{int(at.timestamp())}.".encode() + body_of(PARCEL)
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert headers["webhook-id"] == headers["Idempotency-Key"] == PARCEL.key


@pytest.mark.parametrize(
    ("answer", "result", "taken"),
    [
        (200, "accepted", True), (204, "accepted", True), (301, "failed", False), (307, "failed", False),
        (400, "failed", False), (403, "failed", False), (404, "failed", False), (422, "failed", False),
        (408, "unknown", False), (409, "unknown", False), (425, "unknown", False), (429, "unknown", False),
        (500, "unknown", False), (503, "unknown", False), ("drop", "unknown", True), ("cut", "unknown", False),
    ],
)  # fmt: skip
def test_every_answer_has_its_meaning_and_the_same_key_is_taken_once(
    receiver: Make, settings: Settings, answer: int | str, result: str, taken: bool
) -> None:
    server = receiver(answer)
    way = transport(settings, server.url())
    outcome = way.send(PARCEL)
    assert outcome.result == result, outcome
    assert outcome.note
    assert bool(server.accepted) == taken
    assert len(server.requests) == 1  # neither followed nor tried again by itself
    assert way.send(PARCEL).result == "accepted"
    assert len(server.accepted) == 1


def test_a_wrong_secret_is_refused_there(receiver: Make, settings: Settings) -> None:
    other = "whsec_" + base64.b64encode(b"another secret of enough bytes").decode()
    server = receiver()
    wrong = settings.model_copy(update={"submit": settings.submit.model_copy(update={"secret": _secret(other)})})
    outcome = transport(wrong, server.url()).send(PARCEL)
    assert outcome.result == "failed"
    assert outcome.note.startswith("401")
    assert not server.accepted


def test_who_has_another_certificate_or_name_gets_nothing(receiver: Make, settings: Settings) -> None:
    server = receiver()
    strangers = settings.model_copy(update={"submit": settings.submit.model_copy(update={"ca_file": None})})
    for chosen, host in ((strangers, "localhost"), (settings, "127.0.0.1")):
        outcome = transport(chosen, server.url(host=host)).send(PARCEL)
        assert outcome.result == "failed"
        assert "ROLLCALL_SUBMIT_CA_FILE" in outcome.note
    assert not server.requests


def test_nobody_listens_or_nobody_speaks(settings: Settings) -> None:
    outcome = transport(settings, f"https://localhost:{free_port()}/").send(PARCEL)
    assert outcome.result == "failed"
    assert "cannot be reached" in outcome.note
    with silent() as port:
        quick = settings.model_copy(update={"submit": settings.submit.model_copy(update={"timeout_seconds": 0.3})})
        assert transport(quick, f"http://localhost:{port}/").send(PARCEL).result == "unknown"


def test_an_endless_answer_is_left_unread(receiver: Make, settings: Settings) -> None:
    server = receiver()
    server.body = b"x" * (LARGEST_ANSWER * 100)
    outcome = transport(settings, server.url()).send(PARCEL)
    assert outcome.result == "accepted"
    assert len(outcome.note) < 300


def test_receipts(receiver: Make, settings: Settings) -> None:
    server = receiver()
    way = transport(settings, server.url(), server.url("/receipts?partner=7"))
    assert way.receipt(PARCEL.key) is None
    server.receipts[PARCEL.key] = b'{"status": "pending"}'
    assert way.receipt(PARCEL.key) == Receipt("pending")
    server.receipts[PARCEL.key] = '{"status": "rejected", "reason": "数量が\\n違います", "more": 1}'.encode()
    assert way.receipt(PARCEL.key) == Receipt("rejected", reason="数量が 違います")
    server.receipts[PARCEL.key] = b'{"status": "accepted", "receipt": 4711, "reason": null}'
    assert way.receipt(PARCEL.key) == Receipt("accepted", number="4711")
    assert server.requests[0][1] == f"/receipts?partner=7&key={PARCEL.key}"


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"status": "maybe"}', b"[]"])
def test_a_receipt_that_cannot_be_read_is_none(receiver: Make, settings: Settings, answer: bytes) -> None:
    server = receiver()
    server.receipts[PARCEL.key] = answer
    with pytest.raises(OutOfReach, match="no receipt that can be read"):
        transport(settings, server.url(), server.url("/receipts")).receipt(PARCEL.key)


def test_receipts_that_nobody_gives(settings: Settings) -> None:
    assert transport(settings, "https://localhost/").receipt("key") is None
    with pytest.raises(OutOfReach, match="no receipt to be had"):
        transport(settings, "https://localhost/", f"https://localhost:{free_port()}/").receipt("key")


def test_a_proxy_is_gone_through(receiver: Make, settings: Settings) -> None:
    """One that is not there is not gone around."""
    server = receiver()
    proxy = f"http://127.0.0.1:{free_port()}"
    submit = settings.submit.model_dump() | {"proxy": proxy, "secret": SECRET}
    outcome = transport(Settings(submit=submit), server.url()).send(PARCEL)
    assert outcome.result == "failed"
    assert not server.requests


@pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_c2hvcnQ=", "whsec_not 64", "MDEyMzQ1Njc4OWFiY2RlZg=="])
def test_a_secret_that_cannot_sign_is_told_before_anything_is_tried(secret: str | None) -> None:
    with pytest.raises(ConfigurationError, match="ROLLCALL_SUBMIT_SECRET") as error:
        transport(Settings(submit={"secret": secret}), "https://localhost/")
    assert not secret or secret == "whsec_" or secret not in str(error.value)


def test_what_is_not_encrypted_stays_on_this_machine() -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        transport(Settings(submit={"secret": SECRET}), "http://distributor.example/reports")


def _secret(text: str) -> Any:
    return Settings(submit={"secret": text}).submit.secret
