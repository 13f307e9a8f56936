"""The gateway against real Kafka: what it says is safe is in the log, and what it refuses is not."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import re
import resource
import socket
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import schemathesis
import trustme
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.kafka.topics import ensure_topics
from infra.local.ports import LOOPBACK, free_port
from infra.waiting import wait_until
from producers.gateway import keys
from producers.gateway.server import keys_file
from schemas.event import read_event
from schemas.quarantine import Refusal
from schemas.settings import Settings
from tests.faults.gateways import killed
from tests.integration.gateway import BATCH, ONE, Gateway, event, key, running, settings_of
from tests.integration.test_producer import events_of, records
from tests.panels import alerts, promql, scrape, unanswered
from tests.promql import Series


def topic(stack: Settings) -> str:
    name = f"g{uuid.uuid4().hex[:12]}"
    ensure_topics(settings_of(stack.home, stack.kafka.bootstrap, name), print)
    return name


@pytest.fixture(scope="module")
def gateway(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("gateway")
    limits = {"body_bytes": 100_000, "batch_events": 50, "connections": 40, "body_seconds": 1, "header_seconds": 1}
    with running(settings_of(home, stack.kafka.bootstrap, topic(stack), **limits)) as gateway:
        yield gateway


def in_log(gateway: Gateway) -> dict[str, list[Any]]:
    """Every event of the topic, by its id."""
    found: dict[str, list[Any]] = {}
    for record in records(gateway.settings.kafka):
        for value in events_of(record):
            found.setdefault(value["id"], []).append(value)
    return found


def test_every_mode_reaches_the_log_and_a_repeat_is_not_dropped(gateway: Gateway) -> None:
    one, many = event("m-1"), [event(f"m-{n}", subject="Jürgen") for n in range(2, 6)]
    binary = {"ce-" + name: str(value) for name, value in event("m-6", subject="J%C3%BCrgen").items() if name != "data"}
    for _ in range(2):
        assert gateway.post(one, ONE)[::2] == (202, {"accepted": 1, "refused": 0, "stored": "kafka", "refusals": []})
        assert gateway.post(many).body["accepted"] == 4
        assert gateway.post(event("m-6")["data"], "application/json", headers=binary).status == 202
    found = in_log(gateway)
    assert [found[sent["id"]] for sent in (one, *many)] == [[sent, sent] for sent in (one, *many)]
    assert {value["subject"] for value in found["m-6"]} == {"Jürgen"}


def test_a_bad_event_costs_no_neighbour(gateway: Gateway) -> None:
    good = [event(f"n-{n}") for n in range(3)]
    bad = [event("n-bad", time="yesterday"), {"id": "n-none"}, event("n-long", subject="x" * 600)]
    said = gateway.post([good[0], bad[0], good[1], bad[1], bad[2], good[2]])
    assert (said.status, said.body["accepted"], said.body["refused"]) == (207, 3, 3)
    assert [(r["index"], r["id"], r["reason"], r["pointer"]) for r in said.body["refusals"]] == [
        (1, "n-bad", "bad_time", "/1/time"), (3, "n-none", "missing_member", "/3/specversion"),
        (4, "n-long", "invalid_value", "/4/subject"),
    ]  # fmt: skip
    assert gateway.post(bad).status == 422
    assert {id for id in in_log(gateway) if id.startswith("n-")} == {"n-0", "n-1", "n-2"}


def test_what_dashboards_and_alerts_ask_of_a_gateway_is_answered(gateway: Gateway) -> None:
    series = Series()
    for n, at in enumerate((0.0, 30.0, 60.0)):
        assert gateway.post([event(f"d-{n}"), event("d-bad", time="yesterday")]).status == 207
        with urlopen(f"http://{LOOPBACK}:{gateway.settings.gateway.metrics_port}/metrics", timeout=10) as reply:
            scrape(series, reply.read().decode(), at, job="rollcall-gateway", instance="g")
    assert sum(asked.of_a_gateway for asked in (*promql(), *alerts())) >= 9
    assert unanswered(series, 60.0, lambda asked: asked.of_a_gateway) == []


def test_keys_speak_for_their_own_and_end_while_it_runs(gateway: Gateway) -> None:
    token = key(gateway.settings, sources=("/a",), tenants=("t",))
    assert wait_until(lambda: gateway.post(event("k-1"), ONE, token=token).status == 202, 10.0)
    said = gateway.post([event("k-2"), event("k-3", source="/b"), event("k-4", data={"tenant": "u", "sku": "s"})],
                        token=token)  # fmt: skip
    assert (said.status, [r["pointer"] for r in said.body["refusals"]]) == (207, ["/1/source", "/2/data/tenant"])
    assert gateway.post(event("k-3", source="/b"), ONE, token=token).status == 403
    keys.revoke(keys_file(gateway.settings), token.split("_")[1], datetime.now(UTC))
    assert wait_until(lambda: gateway.post(event("k-1"), ONE, token=token).status == 401, 10.0)
    said = gateway.post(event("k-5"), ONE, token=token)
    assert said.headers["www-authenticate"].startswith("Bearer")
    assert "was revoked" in said.body["detail"]
    assert {id for id in in_log(gateway) if id.startswith("k-")} == {"k-1", "k-2"}


def test_limits_say_what_to_do(gateway: Gateway) -> None:
    assert gateway.post(b"[" + b" " * 100_000 + b"]").status == 413
    said = gateway.post([event(f"l-{n}") for n in range(51)])
    assert (said.status, said.headers["content-type"]) == (413, "application/problem+json")
    assert "50 are taken: send smaller batches" in said.body["detail"]
    assert gateway.post(b"[" * 5_000 + b"]" * 5_000, ONE).body["refusals"][0]["reason"] == "nested_too_deep"
    token = key(gateway.settings, rate=10.0)
    burst = [event(f"l-{n}") for n in range(50)]
    assert wait_until(lambda: gateway.post(burst, token=token).status == 202, 10.0)
    said = gateway.post(burst, token=token)
    assert said.status == 429
    assert 1 <= int(said.headers["retry-after"]) <= 4
    _, replaced = keys.rotate(keys_file(gateway.settings), token.split("_")[1], timedelta(hours=1), datetime.now(UTC))
    assert gateway.post(burst, token=replaced).status == 429, "a key and what replaces it share one rate"
    assert gateway.ask("GET", "/v1/events").headers["allow"] == "POST"
    assert gateway.ask("GET", "/nowhere").status == 404


def head(gateway: Gateway, length: int) -> bytes:
    return (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.token}\r\nContent-Type: {BATCH}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_slow_cut_off_and_broken_requests_are_not_taken(gateway: Gateway) -> None:
    body = json.dumps([event("s-1"), event("s-2")]).encode()
    idle = http.client.HTTPConnection(LOOPBACK, gateway.settings.gateway.port, timeout=10)
    idle.request("GET", "/live")
    assert idle.getresponse().read()
    with socket.create_connection((LOOPBACK, gateway.settings.gateway.port)) as cut_off:
        cut_off.sendall(head(gateway, len(body)) + body[:-1])
    assert gateway.raw(head(gateway, len(body)) + body[:-1]).startswith(b"HTTP/1.1 408 "), "the body stays away"
    assert gateway.raw(b"POST /v1/events HTTP/1.1\r\nHo").startswith(b"HTTP/1.1 408 "), "the headers stay away"
    assert gateway.raw(b"") .startswith(b"HTTP/1.1 408 "), "nothing comes"
    assert gateway.raw(b"\x16\x03\x01 this is no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert gateway.raw(b"GET / HTTP/1.1\r\nx: " + b"y" * 200_000).startswith(b"HTTP/1.1 431 ")
    chunked = head(gateway, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    endless = b"".join(b"4000\r\n" + b" " * 0x4000 + b"\r\n" for _ in range(10))
    assert gateway.raw(chunked + endless).startswith(b"HTTP/1.1 413 ")
    whole = chunked + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    assert gateway.raw(whole.replace(b"s-1", b"s-3").replace(b"s-2", b"s-4"), wait=3.0).startswith(b"HTTP/1.1 202 ")
    assert {id for id in in_log(gateway) if id.startswith("s-")} == {"s-3", "s-4"}
    assert gateway.facts()["ready"]
    idle.request("GET", "/live")  # a connection may rest between requests for longer than a request may take
    assert idle.getresponse().status == 200
    idle.close()


def test_random_bytes_end_in_an_answer_and_are_never_taken(gateway: Gateway) -> None:
    """Spoiled requests are refused; of spoiled bodies just those are taken that the contract still reads."""
    rng, before = random.Random(6), sum(map(len, in_log(gateway).values()))
    body = json.dumps([event("r-1", subject="x" * 100)]).encode()
    for _ in range(12):
        spoiled = bytearray(head(gateway, len(body) + 1) + body)  # a byte is missing: whatever it says, it is not whole
        for _ in range(rng.randrange(1, 20)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        answer = gateway.raw(bytes(spoiled), wait=2.0)
        assert not answer or answer[9:10] == b"4", answer
    taken = 0
    for _ in range(200):
        spoiled = bytearray(body)
        for _ in range(rng.choice((1, 1, 2, 5))):
            spoiled[rng.randrange(len(spoiled))] = rng.choice((rng.randrange(256), 0x20, 0x41))
        good = readable(bytes(spoiled))
        said = gateway.post(bytes(spoiled))
        assert (said.status == 202) == good, (bytes(spoiled), said)
        taken += good
    assert 10 < taken < 190
    assert sum(map(len, in_log(gateway).values())) == before + taken


def readable(body: bytes) -> bool:
    """Whether it is a batch of events that the contract accepts."""
    try:
        read_event(body[1:-1])
    except Refusal:
        return False
    return body[:1] == b"[" and body[-1:] == b"]"


def test_one_connection_too_many_is_told_to_come_back(gateway: Gateway) -> None:
    address = (LOOPBACK, gateway.settings.gateway.port)
    held = [socket.create_connection(address) for _ in range(40)]
    try:
        # What is not yet accepted is not yet counted: the forty-first may have to wait for its turn.
        assert wait_until(lambda: b" 503 " in (told := gateway.raw(b"", wait=5.0)) and b"retry-after: 2" in told, 10.0)
    finally:
        for connection in held:
            connection.close()
    assert wait_until(lambda: gateway.post(event("c-1"), ONE).status == 202, 10.0)


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_the_document_tells_the_truth(gateway: Gateway, mode: schemathesis.GenerationMode) -> None:
    """Of requests that fit it, and of ones that do not."""
    url = f"http://{LOOPBACK}:{gateway.settings.gateway.port}"
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
              response_headers_conformance]  # fmt: skip
    before, taken = sum(map(len, in_log(gateway).values())), list[int]()

    @given(case=schema["/v1/events"]["POST"].as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=40, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: schemathesis.Case) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {gateway.token}"})
        case.validate_response(answer, checks=checks)
        taken.append(answer.json()["accepted"] if answer.status_code in (202, 207) else 0)

    each()
    assert 0 < sum(map(bool, taken)) < len(taken)
    assert sum(map(len, in_log(gateway).values())) == before + sum(taken), "what it says is taken, and nothing else is"


def test_nothing_is_lost_after_a_202_whatever_is_killed(stack: Settings, tmp_path: Path) -> None:
    """Killed under load while Kafka is away, and while it is there; then the log against the answers."""
    found = killed(tmp_path, stack.kafka.bootstrap, topic(stack), ["away", "there"], random.Random(1))
    assert (found.kills, set(found.promised.values())) == (2, {"kafka", "spool"})
    assert (found.missing, found.odd) == (set(), [])
    assert found.extra == set(), "nothing that nobody sent"
    assert list((tmp_path / "gateway-spool").glob("*.spool")) == []


def test_a_full_spool_says_come_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, f"{LOOPBACK}:{free_port()}", "logins", spool_bytes=1 << 20)
    with running(settings) as gateway:
        said = [gateway.post([event(f"{n}-{i}", subject="x" * 400) for i in range(300)]) for n in range(8)]
        statuses = [each.status for each in said]
        assert statuses[0] == 202
        assert statuses[-1] == 503
        assert int(said[-1].headers["retry-after"]) > 0
        assert not gateway.facts()["ready"]
        assert gateway.ask("GET", "/ready").status == 503
        assert gateway.ask("GET", "/live").status == 200


@pytest.fixture(scope="module")
def over_tls(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(home / "server.pem")
    authority.cert_pem.write_to_path(home / "ca.pem")
    settings = settings_of(
        home, stack.kafka.bootstrap, topic(stack), host="localhost", cert_file=home / "server.pem", body_bytes=100_000,
        body_seconds=2, header_seconds=2,
    )  # fmt: skip
    with running(settings, ssl.create_default_context(cafile=str(home / "ca.pem"))) as gateway:
        yield gateway


def test_slow_cut_off_and_oversized_requests_over_tls(over_tls: Gateway) -> None:
    body = json.dumps([event("s-1")]).encode()
    with over_tls.connected() as cut_off:
        cut_off.sendall(head(over_tls, len(body)) + body[:-1])
    assert over_tls.raw(head(over_tls, len(body)) + body[:-1]).startswith(b"HTTP/1.1 408 "), "the body stays away"
    assert over_tls.raw(b"").startswith(b"HTTP/1.1 408 "), "nothing comes"
    assert over_tls.raw(head(over_tls, 100_001)).startswith(b"HTTP/1.1 413 ")
    assert over_tls.raw(head(over_tls, len(body)) + body, wait=1.0).startswith(b"HTTP/1.1 202 ")
    assert len(in_log(over_tls)["s-1"]) == 1


def test_who_never_shakes_hands_is_let_go(over_tls: Gateway) -> None:
    begun = time.monotonic()
    with socket.create_connection(("localhost", over_tls.settings.gateway.port), timeout=10) as mute:
        assert mute.recv(100) == b""
    assert time.monotonic() - begun < 8, "the event loop's own limit is 60 s"


def test_half_open_connections_use_up_the_room_and_give_it_back(over_tls: Gateway) -> None:
    address = ("localhost", over_tls.settings.gateway.port)
    mute = [socket.create_connection(address) for _ in range(1_000)]
    try:
        assert wait_until(lambda: not _answers(over_tls), 5.0), "all of them are accepted, and none other"
    finally:
        for connection in mute:
            connection.close()
    assert wait_until(lambda: _answers(over_tls), 10.0)


def _answers(gateway: Gateway) -> bool:
    try:
        return gateway.ask("GET", "/live").status == 200
    except (ConnectionError, ssl.SSLError, http.client.HTTPException):
        return False


def connections(gateway: Gateway) -> float:
    url = f"http://{LOOPBACK}:{gateway.settings.gateway.metrics_port}/metrics"
    with urlopen(url, timeout=10) as answer:
        [found] = re.findall(r"^rollcall_gateway_connections (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found)


def test_who_never_reads_the_answers_is_let_go(gateway: Gateway) -> None:
    """Pipelined requests whose answers are larger than what the kernel holds for a client that does not read."""
    body = json.dumps([{"id": f"{n}"} for n in range(50)]).encode()
    assert wait_until(lambda: connections(gateway) == 0, 10.0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect((LOOPBACK, gateway.settings.gateway.port))
        assert wait_until(lambda: connections(gateway) == 1, 10.0)
        with suppress(OSError):  # it reads no more of them while its answers are not read
            client.sendall((head(gateway, len(body)) + body) * 3_000)
        assert wait_until(lambda: connections(gateway) == 0, 20.0)


def test_a_thousand_connections_over_tls(over_tls: Gateway) -> None:
    """Each sends an event when all are there. Those that have not shaken hands count too: there is no room for more."""
    port, tls = over_tls.settings.gateway.port, over_tls.tls
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3_000)), hard))

    async def ask(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], number: int) -> bytes:
        body = json.dumps([event(f"t-{number}")]).encode()
        streams[1].write(head(over_tls, len(body)) + body)
        return (await streams[0].readline())[:12]

    async def held_open() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=tls)
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b'{"live":true}')
        return reader, writer  # between requests it may rest

    async def all_at_once() -> list[bytes]:
        held = [await held_open() for _ in range(1_000)]
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.open_connection("localhost", port, ssl=tls)
        said = await asyncio.gather(*(ask(streams, number) for number, streams in enumerate(held)))
        for _, writer in held:
            writer.close()
        return list(said)

    said = asyncio.run(all_at_once())
    assert set(said) == {b"HTTP/1.1 202"}
    assert {id for id in in_log(over_tls) if id.startswith("t-")} == {f"t-{n}" for n in range(1_000)}


def test_mutual_tls(stack: Settings, tmp_path: Path) -> None:
    authority = trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("citrix.example")
    server.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = settings_of(
        tmp_path, stack.kafka.bootstrap, topic(stack), host="localhost", cert_file=tmp_path / "server.pem",
        client_ca_file=tmp_path / "ca.pem",
    )  # fmt: skip
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    known = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    known.load_cert_chain(tmp_path / "client.pem")
    with running(settings, known) as gateway:
        good, other = (key(settings, certificate=f"{name}.example") for name in ("citrix", "other"))
        assert wait_until(lambda: gateway.post(event("1"), ONE, token=good).status == 202, 10.0)
        assert gateway.post(event("2"), ONE, token=other).status == 403
        gateway.tls = stranger
        with pytest.raises(OSError, match=r"(?i)certificate|reset|broken pipe|closed|EOF"):
            gateway.post(event("3"), ONE)
        gateway.tls = known
        assert set(in_log(gateway)) == {"1"}
