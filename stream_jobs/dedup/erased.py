"""People whose names were erased: no worker and no rebuild stores them again (`rollcall subject erase`).

Read again every few seconds. A name that is stored in between is shown to nobody (the view `known_names`), and the next
erasure, or `migrate`, takes it out of the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from clickhouse_connect.driver.client import Client

from stream_jobs.dedup.rows import Erased
from stream_jobs.dedup.sink import Sink

REREAD_SECONDS: Final = 5.0


class Erasures:
    """Those that ClickHouse knows, as of some seconds ago at most."""

    def __init__(self, client: Client, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._sink, self._clock = client, sink, clock
        self._known: Erased = frozenset()
        self._until = float("-inf")

    async def known(self) -> Erased:
        """Raises RollcallError when they cannot be read."""
        if self._clock() >= self._until:
            self._known = await self._sink.ask("reading the erasures", _read, self._client)
            self._until = self._clock() + REREAD_SECONDS
        return self._known


def _read(client: Client) -> Erased:
    rows = client.query("SELECT DISTINCT tenant, subject FROM subject_erasures").result_rows
    return frozenset((tenant, bytes(subject)) for tenant, subject in rows)
