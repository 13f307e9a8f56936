"""A polled source: portions in, logins out, the watermark behind them. The order is what makes it safe:

send, wait until Kafka has acknowledged, keep what was refused, then advance the mark.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from infra.errors import ConfigurationError
from producers.adapters.adapter import Adapter, NotALogin, Seen, login_event, to_json
from producers.polling.portion import Portion
from producers.polling.watermark import Watermark
from producers.refusal_file import RefusalFile
from schemas.event import parse_time
from schemas.quarantine import Refusal


class Sender(Protocol):
    def send_bytes(self, event: bytes, subject: str) -> None: ...
    def flush(self) -> None: ...


@dataclass(slots=True)
class Tally:
    """What became of what was read."""

    records: int = 0
    sent: int = 0
    refused: int = 0
    not_logins: Counter[str] = field(default_factory=Counter)
    first_refusal: str = ""
    mark: datetime | None = None


class Refusals:
    """Records that could not be read as logins, each once. Raises ConfigurationError."""

    def __init__(self, file: Path) -> None:
        self._file = RefusalFile(file)
        self._kept = set(self._file.lines())

    @property
    def count(self) -> int:
        """Those of earlier polls that nobody took away included."""
        return len(self._kept)

    def keep(self, records: Iterable[dict[str, Any]]) -> None:
        """Durable when this returns."""
        fresh = [line for record in records if (line := _line(record)) not in self._kept]
        if not fresh:
            return
        try:
            self._file.add(fresh)
        except OSError as error:
            raise ConfigurationError(
                f"refused records cannot be kept in {self._file.path} ({error.strerror}): make room; nothing was "
                f"passed over"
            ) from None
        self._kept.update(fresh)


def _line(record: dict[str, Any]) -> bytes:
    try:
        return to_json(record) + b"\n"
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON can only say as an escape
        return json.dumps(record, default=str).encode() + b"\n"


def read(
    portions: Iterable[Portion], adapter: Adapter, sender: Sender, watermark: Watermark | None, refusals: Refusals, *,
    source: str, tenant: str | None = None, sku: str | None = None,
    between: tuple[datetime, datetime] | None = None,
) -> Tally:
    """Reads until the portions end. Raises what the sender raises, with the mark where Kafka has everything.

    Without a watermark nothing is remembered. `between`: logins in [begin, end) alone are sent.
    """
    tally = Tally()
    for records, mark in portions:
        refused = []
        for record in records:
            tally.records += 1
            try:
                found = list(adapter.translate(record))
                logins = [one for one in found if isinstance(one, Seen) and _within(between, one.time)]
                events = [login_event(one, one.id or "", source=source, tenant=tenant, sku=sku) for one in logins]
            except Exception as fault:  # one of ours too: it costs no other record
                refused.append(record)
                tally.refused += 1
                tally.first_refusal = tally.first_refusal or _why(fault)
                continue
            tally.not_logins.update(
                one.why if isinstance(one, NotALogin) else "outside the interval" for one in found if one not in logins
            )
            for event, one in zip(events, logins, strict=True):
                sender.send_bytes(event, one.subject)
                tally.sent += 1
        sender.flush()
        refusals.keep(refused)
        if watermark is not None:
            before = watermark.mark
            tally.mark = mark if before is None else max(before, mark)
            watermark.advance(tally.mark)
    return tally


def _within(between: tuple[datetime, datetime] | None, time: str) -> bool:
    return between is None or between[0] <= parse_time(time) < between[1]


def _why(fault: Exception) -> str:
    """Without names of people, which another's words may hold."""
    return str(fault) if isinstance(fault, Refusal) else f"a fault of this program: {type(fault).__name__}"
