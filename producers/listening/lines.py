"""Lines of syslog as logins: what an adapter makes of them, and what becomes of the others. Durable, or not taken."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from producers.adapters.adapter import Adapter, NotALogin, Record, login_event
from producers.adapters.syslog import SyslogLine, parse_syslog
from producers.gateway.intake import Events, Stored, Unavailable
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
        self, adapter: Adapter, intake: Intake, rejects: Path, *, source: str, tenant: str | None, sku: str | None
    ) -> None:
        self._adapter, self._intake, self._rejects = adapter, intake, rejects
        self._source, self._tenant, self._sku = source, tenant, sku
        self.tally = LineTally()

    async def take(self, lines: Sequence[bytes]) -> None:
        """Returns when their logins are safe, however long that takes: whoever sends has to wait."""
        events, refused, reasons = list[tuple[bytes, str]](), list[bytes](), Counter[str]()
        for line in lines:
            self.tally.lines += 1
            try:
                events += self._logins(line)
            except Refusal as refusal:
                refused.append(line)
                reasons[refusal.reason] += 1
        if refused:
            self.tally.refused += len(refused)
            why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            log.warning("%s: lines are refused (%s), and kept in %s", self._source, why, self._rejects)
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
            out = os.open(self._rejects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.fstat(out).st_size < REFUSED_BYTES:
                    os.write(out, b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines))
                    os.fsync(out)
                else:
                    log.error("%s is full: refused lines are only counted; mend and push it", self._rejects)
            finally:
                os.close(out)
        except OSError as error:
            log.error("%s cannot be written (%s): %d refused lines are lost", self._rejects, error.strerror, len(lines))


def _record(text: str, parsed: SyslogLine | None) -> Record:
    """What adapters and maps see of a line."""
    if parsed is None:
        return {"line": text}
    return {
        "line": text, "time": parsed.time, "host": parsed.host, "program": parsed.program, "message": parsed.message,
        "data": parsed.elements,
    }  # fmt: skip
