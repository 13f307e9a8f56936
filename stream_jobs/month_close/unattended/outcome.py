"""What a run of the month end did, waits for and could not do; and what it says to the scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from infra.errors import OutOfReach
from schemas.calendar import month_name
from stream_jobs.month_close.unattended.plan import Matter

NEEDED, UNREACHABLE = 1, OutOfReach.exit_code


class Said(NamedTuple):
    """One thing about one report. `step` is empty for what is waited for."""

    agreement: str
    month: str
    step: str
    note: str

    @classmethod
    def of(cls, matter: Matter, step: str, note: str) -> Said:
        return cls(matter.owed.agreement.id, month_name(matter.owed.month), step, note)

    @property
    def report(self) -> str:
        return f"{self.agreement} {self.month}".strip()


@dataclass
class Outcome:
    """`exit` is 3 when a server was out of reach, 1 when something is overdue, failed, or needs a person now."""

    at: datetime
    dry_run: bool = False
    done: list[Said] = field(default_factory=list)
    waiting: list[Said] = field(default_factory=list)
    needed: list[Said] = field(default_factory=list)
    failed: list[Said] = field(default_factory=list)
    overdue: list[Said] = field(default_factory=list)
    unreachable: bool = False

    @property
    def exit(self) -> int:
        if self.unreachable:
            return UNREACHABLE
        return NEEDED if self.overdue or self.failed or self.needed else 0

    def rows(self) -> Iterator[tuple[str, Said]]:
        """Everything, each with the word for how it stands."""
        words = [
            ("would do" if self.dry_run else "done", self.done), ("failed", self.failed), ("waiting", self.waiting),
            ("needs a person", self.needed), ("overdue", self.overdue),
        ]  # fmt: skip
        for word, found in words:
            yield from ((word, said) for said in found)

    def line(self) -> str:
        """One line of JSON, for the scheduler."""

        def told(found: list[Said]) -> list[dict[str, Any]]:
            return [{k: v for k, v in said._asdict().items() if v} for said in found]

        at = self.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        value: dict[str, Any] = {"at": at, **({"dry_run": True} if self.dry_run else {})}
        for name in ("done", "waiting", "needed", "failed", "overdue"):
            value[name] = told(getattr(self, name))
        return json.dumps({**value, "exit": self.exit}, ensure_ascii=False)
