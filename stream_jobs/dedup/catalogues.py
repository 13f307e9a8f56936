"""The catalogue's versions as the worker needs them: loaded when the log first speaks of them."""

from __future__ import annotations

import asyncio
import time

from clickhouse_connect.driver.client import Client

from infra.catalogue import stored_text
from infra.errors import ConfigurationError
from schemas.catalogue import parse_catalogue
from schemas.settings import Settings
from stream_jobs.dedup.cache import Cache
from stream_jobs.dedup.resolve import Resolver
from stream_jobs.dedup.sink import Sink

WAIT_SECONDS = 30.0
"""A replica may be behind the control record that names the version."""


class Catalogues:
    """Resolvers by version. `resolver` gives what `load` has loaded."""

    def __init__(self, client: Client, settings: Settings, cache: Cache, sink: Sink) -> None:
        self._client, self._settings, self._cache, self._sink = client, settings, cache, sink
        self._resolvers: dict[int, Resolver] = {}

    def resolver(self, version: int) -> Resolver:
        return self._resolvers[version]

    async def load(self, version: int, place: str | None = None) -> None:
        """Makes a version ready; `place` is its control record's, partition:offset.

        Raises ConfigurationError when it cannot be had within WAIT_SECONDS.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while version not in self._resolvers:
            text = await self._sink.ask("reading the catalogue", stored_text, self._client, version)
            if text is not None:
                catalogue = parse_catalogue(text, f"catalogue version {version}")
                self._resolvers[version] = Resolver(version, catalogue, self._settings.worker.floor, self._cache)
            elif time.monotonic() > deadline:
                raise ConfigurationError(_not_stored(version, place))
            else:
                await asyncio.sleep(1)


def _not_stored(version: int, place: str | None) -> str:
    sentence = (
        f"the log asks for catalogue version {version}, which is not stored: restore ClickHouse's table "
        f"catalogue_versions from its backup"
    )
    if place is None:
        return sentence
    return (
        f"{sentence}. If nobody ever applied it, somebody else wrote the control record at partition:offset {place}: "
        f"set ROLLCALL_WORKER_REFUSED_CONTROLS to {place} (several with commas), and it goes to the quarantine"
    )
