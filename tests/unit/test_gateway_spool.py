"""The spool: in order, whole frames only, bounded, and one process at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError, OutOfReach
from producers.gateway import spool as module
from producers.gateway.link import Link
from producers.gateway.spool import Spool, SpoolFull
from schemas.settings import KafkaSettings
from tests.unit.logins import login

LIMIT = 1 << 20


def drained(spool: Spool) -> list[bytes]:
    found = []
    while (segment := spool.oldest()) is not None:
        found += list(spool.read(segment))
        spool.remove(segment)
    return found


def test_what_was_stored_comes_back_in_order_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 300)
    payloads = [f"[{n}]".encode() * 20 for n in range(30)]
    spool = Spool(tmp_path, LIMIT)
    for payload in payloads[:20]:
        spool.append(payload)
    size = spool.size
    spool.close()
    again = Spool(tmp_path, LIMIT)
    assert again.size == size
    for payload in payloads[20:]:
        again.append(payload)
    assert len(list(tmp_path.glob("*.spool"))) > 5
    assert drained(again) == payloads
    assert (again.size, again.oldest(), list(tmp_path.glob("*.spool"))) == (0, None, [])


def test_what_comes_while_it_is_emptied_is_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"1")
    segment = spool.oldest()
    assert segment is not None
    spool.append(b"2")
    assert list(spool.read(segment)) == [b"1"]
    spool.remove(segment)
    assert drained(spool) == [b"2"]


@pytest.mark.parametrize("cut", [1, 5, 8, 9, 11])
def test_a_torn_end_is_kept_aside_and_what_is_before_it_comes_back(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"first")
    spool.append(b"last")  # 12 bytes with its header
    spool.close()
    [segment] = tmp_path.glob("*.spool")
    os.truncate(segment, segment.stat().st_size - cut)
    assert drained(Spool(tmp_path, LIMIT)) == [b"first"]
    [rest] = tmp_path.glob("*.rest")
    assert rest.stat().st_size == 12 - cut


def test_a_frame_whose_bytes_changed_is_not_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"first")
    spool.append(b"last")
    spool.close()
    [segment] = tmp_path.glob("*.spool")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert drained(Spool(tmp_path, LIMIT)) == [b"first"]


def test_it_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    assert spool.room
    spool.append(b"x" * 900)
    assert not spool.room
    with pytest.raises(SpoolFull, match=r"gateway\.spool_bytes"):
        spool.append(b"x" * 100)
    spool.append(b"x" * 84)
    assert spool.size == 1000
    assert drained(spool) == [b"x" * 900, b"x" * 84]
    spool.append(b"x" * 900)


def test_a_disk_that_fails_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(SpoolFull, match="No space left"):
            spool.append(b"during")
    spool.append(b"after")
    found = drained(spool)
    assert [each for each in found if each != b"during"] == [b"before", b"after"], "what was promised, in order"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    with pytest.raises(ConfigurationError, match="ROLLCALL_GATEWAY_SPOOL"):
        Spool(tmp_path, LIMIT)
    spool.close()
    Spool(tmp_path, LIMIT).close()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="ROLLCALL_GATEWAY_SPOOL"):
        Spool(tmp_path / "file" / "spool", LIMIT)


def test_a_damaged_frame_costs_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    for payload in (b"first", b"second", b"third"):
        spool.append(payload)
    spool.close()
    [segment] = tmp_path.glob("*.spool")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b"second", b"sec0nd") + b"\0" * 40)
    assert drained(Spool(tmp_path, LIMIT)) == [b"first", b"third"]
    assert b"sec0nd" in segment.with_suffix(".rest").read_bytes()


def test_a_limit_that_is_lowered_hides_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, LIMIT)
    spool.append(b"x" * 1000)
    spool.close()
    assert drained(Spool(tmp_path, 100)) == [b"x" * 1000]


def test_events_that_the_topic_does_not_take_are_all_kept(tmp_path: Path) -> None:
    """Of several frames, and when the first try ends in the middle."""
    spool = Spool(tmp_path, LIMIT)
    small, large = ([json.dumps(login(subject=f"{name}{n}")).encode() for n in range(3)] for name in ("a", "b" * 300))
    for one, other in zip(small, large, strict=True):
        spool.append(b"[" + one + b"," + other + b"]")
    link = Link(KafkaSettings(), spool, answer_seconds=1, buffer_bytes=1)
    link.max_event_bytes = max(map(len, small))
    sent: list[bytes] = []

    class Once:
        """Kafka takes the first frame, then goes; and is back."""

        gone = False

        def send_many(self, events: Any, done: Any) -> None:
            if len(sent) == 1 and not self.gone:
                self.gone = True
                raise RuntimeError
            sent.extend(raw for raw, _ in events)
            done(None)

    link._producer = Once()  # type: ignore[assignment]
    with pytest.raises(OutOfReach):
        link._empty()
    link._empty()
    [aside] = tmp_path.glob("*.too-large")
    assert aside.read_bytes().splitlines() == large
    assert set(sent) == set(small)
    assert spool.oldest() is None
