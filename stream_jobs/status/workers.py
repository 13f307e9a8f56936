"""The workers of this machine, as they say themselves: asked over HTTP, seat by seat."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from schemas.settings import Settings

ANSWER_SECONDS, MOST = 2.0, 32


class WorkerHealth(NamedTuple):
    """`why` has what is not well, a sentence each."""

    seat: int
    address: str
    ready: bool
    stuck: bool
    partitions: list[int]
    lag_records: int
    seconds_since_progress: float
    why: list[str]


def read_workers(settings: Settings, group: str) -> list[WorkerHealth]:
    """Those that answer on the ports of this machine's seats; a seat that nobody sits on does not."""
    if settings.metrics.port == 0:
        return []
    taken = sum(1 for _ in (settings.home / "seats").glob(f"{group}-*.lock"))
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda seat: _ask(settings, seat), range(min(taken, MOST)))
    return [worker for worker in found if worker is not None]


def _ask(settings: Settings, seat: int) -> WorkerHealth | None:
    address = f"http://{settings.metrics.host}:{settings.metrics.port + seat}"
    facts: dict[str, Any] = {}
    with suppress(OSError, ValueError, KeyError):
        try:
            with build_opener(ProxyHandler({})).open(f"{address}/health/ready", timeout=ANSWER_SECONDS) as reply:
                facts = json.load(reply)
        except HTTPError as refusal:  # 503: its body has the facts too
            facts = json.load(refusal)
        return WorkerHealth(
            seat, address, facts["ready"], facts["stuck"], facts["partitions"], facts["lag_records"],
            facts["seconds_since_progress"], facts["why"],
        )  # fmt: skip
    return None
