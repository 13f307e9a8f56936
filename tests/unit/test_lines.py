"""Lines on their way: in hand until they are safe; what cannot be read is kept, told of, and costs no other line."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError
from producers.adapters.adapter import NotALogin, Record, Seen
from producers.gateway.intake import Events, Stored, Unavailable
from producers.in_hand import InHand
from producers.listening import lines as module
from producers.listening.lines import Lines, LineTally
from producers.listening.listener import Datagrams
from producers.listening.losses import Losses
from producers.refusal_file import RefusalFile


class Names:
    """A line is its user's name; `!` is a fault of this adapter."""

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        if record["line"] == "!":
            raise KeyError("name")
        yield Seen(time="2026-10-31T00:00:00Z", subject=record["line"], source="/s")


class Intake:
    """Takes when it is told to."""

    def __init__(self) -> None:
        self.taken, self.may, self.refusing = list[str](), asyncio.Event(), 0

    async def take(self, events: Events) -> Stored:
        await self.may.wait()
        if self.refusing:
            self.refusing -= 1
            raise Unavailable("the spool is full")
        self.taken += [subject for _, subject in events]
        return "kafka"


def lines(folder: Path, intake: Intake, hand: InHand | None = None) -> Lines:
    return Lines(
        Names(), intake, hand or InHand(), folder / "s.rejects", source="/s", tenant=None, sku="SKU"
    )


def test_what_is_given_is_in_hand_until_it_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)

    async def run() -> None:
        intake, hand = Intake(), InHand()
        intake.refusing = 1  # between two tries it is in nobody else's
        taking = lines(tmp_path, intake, hand)
        before = datetime.now(UTC)
        tasks = [asyncio.create_task(taking.take([name])) for name in (b"alice", b"bob")]
        await asyncio.sleep(0.01)
        after = datetime.now(UTC)
        assert hand.oldest is not None
        assert before <= hand.oldest <= after
        intake.may.set()
        await asyncio.gather(*tasks)
        assert hand.oldest is None
        assert sorted(intake.taken) == ["alice", "bob"]

    asyncio.run(run())


def test_datagrams_are_in_hand_while_they_wait_for_their_turn() -> None:
    async def run() -> None:
        hand, may, taken = InHand(), asyncio.Event(), list[bytes]()

        async def take(messages: Any) -> None:
            await may.wait()
            taken.extend(messages)

        datagrams = Datagrams(take, LineTally(), hand)
        pump = asyncio.create_task(datagrams._run())
        datagrams.datagram_received(b"1", None)
        first = hand.oldest
        await asyncio.sleep(0.01)
        datagrams.datagram_received(b"2", None)
        assert hand.oldest == first is not None
        may.set()
        await asyncio.sleep(0.01)
        assert (taken, hand.oldest) == ([b"1", b"2"], None)
        datagrams.datagram_received(b"3", None)
        await asyncio.sleep(0.01)
        assert (taken[2:], hand.oldest) == ([b"3"], None)
        pump.cancel()

    asyncio.run(run())


def test_a_line_that_no_one_can_read_costs_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        intake = Intake()
        intake.may.set()
        taking = lines(tmp_path, intake)
        await taking.take([b"alice", b"!", b"\xff", b"bob"])
        assert intake.taken == ["alice", "bob"]
        assert (tmp_path / "s.rejects").read_bytes() == b"!\n\xff\n"
        assert taking.refused() == 2

    asyncio.run(run())


def test_what_cannot_be_kept_is_counted_until_a_person_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFUSED_BYTES", 5)

    async def run() -> None:
        taking = lines(tmp_path, Intake())
        await taking.take([b"\xff", b"\xfe"])
        await taking.take([b"\xfd", b"\xfc"])
        assert (tmp_path / "s.rejects").read_bytes() == b"\xff\n\xfe\n"
        assert (taking.tally.refused, taking.tally.not_kept) == (4, 2)
        taking.tally.lost, taking.tally.too_long = 10, 100
        assert [taking.refused(), taking.refused()] == [114, 114]
        again = lines(tmp_path, Intake())
        assert again.refused() == 114, "another process knows of it"
        again.tally.lost = 1
        assert again.refused() == 115
        for name in ("s.rejects", "s.lost"):
            (tmp_path / name).unlink()
        assert again.refused() == 0

    asyncio.run(run())


def test_losses_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "s.lost").write_text("many")
    with pytest.raises(ConfigurationError, match="lost cannot be read"):
        Losses(tmp_path / "s.lost").count(0)


def test_a_file_of_refusals_holds_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RefusalFile(tmp_path / "r")
    assert list(file.lines()) == []
    (tmp_path / "r").write_bytes(b"whole\ncut o")
    file.add([b"a\r\n", b"b\n"])
    assert list(file.lines()) == [b"whole\n", b"cut o\n", b"a\r\n", b"b\n"]
    write, room = os.write, [4, 2]

    def little(out: int, block: Any) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(out, block[: room.pop(0)])

    monkeypatch.setattr(os, "write", little)
    with pytest.raises(OSError, match="No space"):
        file.add([b"half of it\n"])
    assert len(list(file.lines())) == 4
    room += [3, 3, 3, 3]
    file.add([b"in pieces\n"])
    assert list(file.lines())[4:] == [b"in pieces\n"]
