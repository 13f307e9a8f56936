"""Lines of syslog as logins: what an adapter makes of them, and what becomes of the others. Durable, or not taken."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from producers.adapters.adapter import Adapter, NotALogin, Record, login_event
from producers.adapters.syslog import SyslogLine, parse_syslog
from producers.gateway.intake import Events, Stored, Unavailable
from producers.in_hand import InHand
from producers.listening.losses import Losses
from producers.refusal_file import RefusalFile
from producers.topic import DEFAULT_MAX_MESSAGE
from schemas.quarantine import Refusal

AGAIN_SECONDS = 1.0
REFUSED_BYTES = 64 << 20
LARGEST_EVENT = DEFAULT_MAX_MESSAGE // 2
log = logging.getLogger("rollcall.source")


class Intake(Protocol):
    async def take(self, events: Events) -> Stored: ...


@dataclass(slots=True)
class LineTally:
    lines: int = 0
    logins: int = 0
    """Safe, in Kafka or the spool."""
    refused: int = 0
    not_kept: int = 0
    """Of those, ones for which the file of rejects had no room."""
    not_logins: Counter[str] = field(default_factory=Counter)
    too_long: int = 0
    cut_off: int = 0
    """Messages whose connection ended before they did."""
    turned_away: int = 0
    """Connections above the limit."""
    lost: int = 0
    """Datagrams for which there was no room."""


class Lines:
    """`rejects`: the file to which lines are added that could not be read, up to REFUSED_BYTES."""

    def __init__(
        self, adapter: Adapter, intake: Intake, hand: InHand, rejects: Path, *, source: str, tenant: str | None,
        sku: str | None,
    ) -> None:  # fmt: skip
        self._adapter, self._intake, self._hand = adapter, intake, hand
        self._rejects, self._losses = RefusalFile(rejects, REFUSED_BYTES), Losses(rejects.with_suffix(".lost"))
        self._source, self._tenant, self._sku = source, tenant, sku
        self.tally = LineTally()

    def refused(self) -> int:
        """Lines that wait to be mended, and messages that were lost. Raises ConfigurationError."""
        lost = self.tally.not_kept + self.tally.too_long + self.tally.lost
        return sum(1 for _ in self._rejects.lines()) + self._losses.count(lost)

    async def take(self, lines: Sequence[bytes]) -> None:
        """Returns when their logins are safe, however long that takes: whoever sends has to wait."""
        with self._hand.held():
            await self._take(lines)

    async def _take(self, lines: Sequence[bytes]) -> None:
        events, refused, reasons = list[tuple[bytes, str]](), list[bytes](), Counter[str]()
        for line in lines:
            self.tally.lines += 1
            try:
                events += self._logins(line)
            except Refusal as refusal:
                refused.append(line)
                reasons[refusal.reason] += 1
            except Exception as error:  # a fault of ours with one line costs no other
                refused.append(line)
                reasons[type(error).__name__] += 1
        if refused:
            self.tally.refused += len(refused)
            why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            log.warning("%s: lines are refused (%s), for %s", self._source, why, self._rejects.path)
            await asyncio.to_thread(self._keep, refused)
        while events:
            try:
                await self._intake.take(events)
                self.tally.logins += len(events)
                return
            except Unavailable as error:
                log.warning("%s: lines wait, nobody can take their logins: %s", self._source, error)
                await asyncio.sleep(AGAIN_SECONDS)

    def _logins(self, line: bytes) -> list[tuple[bytes, str]]:
        try:
            text = line.decode().removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise Refusal("not_utf8", f"byte {error.start} of the line is not UTF-8") from None
        parsed = parse_syslog(text)
        found = []
        for one in self._adapter.translate(_record(text, parsed)):
            if isinstance(one, NotALogin):
                self.tally.not_logins[one.why] += 1
                continue
            place = "/".join((parsed.host, parsed.program, parsed.message_id, one.time)) if parsed else one.time
            event = login_event(one, place, source=self._source, tenant=self._tenant, sku=self._sku)
            if len(event) > LARGEST_EVENT:
                raise Refusal("too_large", f"an event of {len(event):,} bytes")
            found.append((event, one.subject))
        return found

    def _keep(self, lines: Sequence[bytes]) -> None:
        try:
            self._rejects.add([line.replace(b"\n", b" ") + b"\n" for line in lines])
        except OSError as error:
            self.tally.not_kept += len(lines)
            log.error(
                "%s cannot be written (%s): %d refused lines are only counted; mend and push what it has, and take it "
                "away", self._rejects.path, error.strerror, len(lines),
            )  # fmt: skip


def _record(text: str, parsed: SyslogLine | None) -> Record:
    """What adapters and maps see of a line."""
    if parsed is None:
        return {"line": text}
    return {
        "line": text, "time": parsed.time, "host": parsed.host, "program": parsed.program, "message": parsed.message,
        "data": parsed.elements,
    }  # fmt: skip
