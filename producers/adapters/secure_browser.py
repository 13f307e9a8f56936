"""Amazon WorkSpaces Secure Browser: session logs. `StartSession` is a login; `Validation` is the service's own."""

from __future__ import annotations

from collections.abc import Iterator

from producers.adapters.adapter import AdapterOptions, NotALogin, Policies, Record, Seen, decided, needed
from producers.times import read_epoch

POLICIES: Policies = {}
_CURE = "keep the record as the service logged it"


class SecureBrowserAdapter:
    def __init__(self, options: AdapterOptions) -> None:
        decided(POLICIES, options.policy)

    def translate(self, record: Record) -> Iterator[Seen | NotALogin]:
        kind = needed(record, "eventType", _CURE)
        if kind != "StartSession":
            yield NotALogin(f"eventType is {kind}")
            return
        yield Seen(
            time=read_epoch(needed(record, "timestamp", _CURE), 1000), source="/secure-browser",
            subject=needed(record, "userName", _CURE), product=needed(record, "portalArn", _CURE),
        )  # fmt: skip
