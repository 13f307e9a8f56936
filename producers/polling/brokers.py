"""The kinds of brokers that are polled: how each is opened with its settings."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import urllib3

from infra.errors import ConfigurationError
from producers.adapters.adapter import Adapter, AdapterOptions
from producers.adapters.avd import AvdAdapter
from producers.adapters.citrix import CitrixAdapter
from producers.adapters.guacamole import GuacamoleAdapter
from producers.adapters.horizon import HorizonAdapter
from producers.polling.citrix import sessions
from producers.polling.citrix_login import BasicLogin, CloudLogin
from producers.polling.database import engine_of, guacamole, horizon, rows
from producers.polling.log_analytics import EntraLogin, Workspace, connections
from producers.polling.odata import Service
from producers.polling.portion import Portion
from producers.polling.turn import turn
from schemas.calendar import zone_named
from schemas.source_settings import (
    AvdSettings,
    CitrixSettings,
    DatabaseSettings,
    GuacamoleSettings,
    HorizonSettings,
    SourceSettings,
)

_PUT_BACK = timedelta(hours=2)  # more than clocks are
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Broker(NamedTuple):
    adapter: Adapter
    since: Callable[[datetime], Iterable[Portion]]
    """What it has to tell from a mark on."""
    first: Callable[[datetime], datetime]
    """The mark with which a first poll finds all from a moment on."""
    between: Callable[[datetime, datetime], Iterable[Portion]]
    """At least all that tells of logins in an interval, for a backfill."""
    hidden: timedelta = timedelta(0)
    """How long after its login a record is written at the latest."""


def open_broker(reads: str, settings: SourceSettings, folder: Path) -> Broker:
    """The broker at `reads`; readers that share the folder ask it by turns where it allows one query at a time.

    Nothing is asked yet. Raises ConfigurationError.
    """
    if isinstance(settings, CitrixSettings):
        return _citrix(reads, settings, folder)
    if isinstance(settings, AvdSettings):
        return _avd(reads, settings)
    if isinstance(settings, DatabaseSettings):
        return _database(reads, settings)
    raise ConfigurationError("this kind of source is not polled")


def secret(place: str | None) -> str:
    """What stands at `file:PATH` or `env:NAME`. Raises ConfigurationError when nothing does."""
    if place is None:
        return ""
    how, _, name = place.partition(":")
    try:
        found = (Path(name).read_text("utf-8-sig") if how == "file" else os.environ.get(name, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the secret's file {name} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if not found:
        where = "the file" if how == "file" else "the variable"
        raise ConfigurationError(f"there is no secret: put it into {where} {name}")
    return found


def _citrix(reads: str, settings: CitrixSettings, folder: Path) -> Broker:
    _over_tls(reads, settings.trust)
    http, key = urllib3.PoolManager(maxsize=1, block=True), secret(settings.secret)
    login = (
        CloudLogin(settings.customer, settings.client, key, http, settings.trust)
        if settings.customer else BasicLogin(settings.client, key)
    )  # fmt: skip
    customer = f"{urlsplit(reads).hostname}-{settings.customer or settings.client}"
    service = Service(reads, login, http, turn=lambda: turn(folder, customer))
    return Broker(
        CitrixAdapter(AdapterOptions(policy=settings.policy)), lambda since: sessions(service, since),
        lambda begin: begin, lambda begin, end: sessions(service, begin, end),
    )  # fmt: skip


def _avd(reads: str, settings: AvdSettings) -> Broker:
    _over_tls(reads, settings.trust)
    match = re.fullmatch(r"(https?://[^/]+)/v1/workspaces/[^/]+/?", reads)
    if match is None:
        raise ConfigurationError(
            f"{reads} is no workspace: write https://api.loganalytics.azure.com/v1/workspaces/ID, with its id"
        )
    http, key = urllib3.PoolManager(maxsize=1, block=True), secret(settings.secret)
    login = EntraLogin(settings.directory, settings.client, key, http, settings.trust, match[1])
    workspace = Workspace(reads, login, http, 180.0)
    return Broker(
        AvdAdapter(AdapterOptions(policy=settings.policy)), lambda since: connections(workspace, since),
        lambda begin: begin, lambda begin, end: connections(workspace, begin, end),
    )  # fmt: skip


def _database(reads: str, settings: DatabaseSettings) -> Broker:
    engine, zone = engine_of(reads, secret(settings.secret)), zone_named(settings.zone)
    options, query = AdapterOptions(zone, settings.policy), guacamole
    adapter: Adapter = GuacamoleAdapter(options)
    session = timedelta(hours=settings.longest_session_hours if isinstance(settings, GuacamoleSettings) else 0)
    if isinstance(settings, HorizonSettings):
        query, adapter = horizon(settings.prefix), HorizonAdapter(options)

    # A time in the database may be the zone's or UTC; a mark is what is written there. Both are looked for.

    def first(begin: datetime) -> datetime:
        return min(begin, begin.astimezone(zone).replace(tzinfo=UTC))

    def between(begin: datetime, end: datetime) -> Iterable[Portion]:
        last = max(end, end.astimezone(zone).replace(tzinfo=UTC))
        return rows(engine, query, first(begin) - _PUT_BACK, last + _PUT_BACK)

    return Broker(adapter, lambda since: rows(engine, query, since), first, between, session)


def _over_tls(*addresses: str) -> None:
    for address in addresses:
        if not re.match(r"https?://[^/]+", address):
            raise ConfigurationError(f"{address} is no URL: write https://api-eu.cloud.com/monitorodata, or your own")
        if urlsplit(address).scheme != "https" and urlsplit(address).hostname not in _LOOPBACK:
            raise ConfigurationError(f"{address} is not https: the key would go over the network in clear")
