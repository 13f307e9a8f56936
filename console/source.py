"""`rollcall source`: brokers that are asked for their logins."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

import urllib3
from cyclopts import App, Parameter

from console.output import Format, show, tell
from console.push import policies, read_text
from infra.errors import CheckFailed, ConfigurationError, OutOfReach
from producers.adapters.adapter import Adapter, AdapterOptions, Seen
from producers.adapters.citrix import CitrixAdapter
from producers.adapters.guacamole import GuacamoleAdapter
from producers.adapters.horizon import HorizonAdapter
from producers.client import LoginProducer
from producers.polling.citrix import sessions
from producers.polling.citrix_login import TRUST, BasicLogin, CloudLogin
from producers.polling.database import SHORTEST_OVERLAP, engine_of, guacamole, horizon, rows
from producers.polling.odata import Service
from producers.polling.portion import Portion
from producers.polling.reader import Refusals, Tally, read
from producers.polling.watermark import Watermark
from schemas.calendar import zone_named
from schemas.event import parse_time
from schemas.quarantine import Refusal
from schemas.settings import load_settings

Kind = Literal["citrix", "guacamole", "horizon"]
SECRET = "SOURCE_SECRET"
NO_MARK = "nothing was read yet: name with --since from when on sessions count, as 2026-10-01"

source = App(name="source", help="Brokers that are asked for their logins: check, run.")

Customer = Annotated[str | None, Parameter(help="Citrix Cloud customer id")]
Client = Annotated[str | None, Parameter(help="id of the API client; on premises the account")]
SecretFile = Annotated[str | None, Parameter(help=f"file with the client's secret; else {SECRET}")]
Policy = Annotated[str | None, Parameter(help="what counts, as NAME=VALUE,…; see docs/sources")]
Zone = Annotated[str | None, Parameter(help="time zone of a database's times, as Asia/Tokyo")]
Prefix = Annotated[str, Parameter(help="of Horizon's tables, as h_")]
Trust = Annotated[str, Parameter(help="where Citrix Cloud gives out tokens")]


@source.command
def check(
    kind: Kind, url: str, /, *, customer: Customer = None, client: Client = None, secret_file: SecretFile = None,
    policy: Policy = None, trust: Trust = TRUST, zone: Zone = None, prefix: Prefix = "", format: Format = "table",
) -> int:  # fmt: skip
    """Ask the broker at URL for one page of the last day, and show what would count. Sends nothing."""
    adapter, portions = _broker(kind, url, customer, client, secret_file, policy, trust, zone, prefix)
    page = next(iter(portions(datetime.now(UTC) - timedelta(days=1))), None)
    found: Counter[tuple[str, str]] = Counter()
    for record in page.records if page else ():
        try:
            for one in adapter.translate(record):
                key = ("login", one.product or "") if isinstance(one, Seen) else ("no login", one.why)
                found[key] += 1
        except Refusal as refusal:
            found["refused", refusal.detail] += 1
    show(format, ("what", "product or reason", "number"), [(*key, number) for key, number in sorted(found.items())])
    return 1 if any(what == "refused" for what, _ in found) else 0


@source.command
def run(
    kind: Kind, url: str, /, *, source: Annotated[str, Parameter(help="the events' source, as /citrix/eu-1")],
    customer: Customer = None, client: Client = None, secret_file: SecretFile = None, policy: Policy = None,
    trust: Trust = TRUST, zone: Zone = None, prefix: Prefix = "",
    since: Annotated[str | None, Parameter(help="from when on, at the first time: day or RFC 3339")] = None,
    overlap: Annotated[float, Parameter(help="minutes before the watermark that are read again")] = 90.0,
    every: Annotated[float | None, Parameter(help="seconds between two polls; left out: poll once")] = None,
    tenant: str | None = None, sku: str | None = None,
) -> int:  # fmt: skip
    """Read the broker at URL from its watermark on, into Kafka.

    The watermark is kept in ROLLCALL_HOME/sources; ended at any moment, the next run goes on from there. Exit code 1
    when records were refused: they are kept beside it.
    """
    settings = load_settings()
    adapter, portions = _broker(kind, url, customer, client, secret_file, policy, trust, zone, prefix)
    if kind != "citrix" and overlap < SHORTEST_OVERLAP:
        raise ConfigurationError(f"--overlap {overlap:g}: a database's clock may be put back an hour; give 70 or more")
    begin = _moment(since) if since else None
    folder, name = settings.home / "sources", re.sub(r"[^A-Za-z0-9._-]+", "_", source.strip("/")) or "source"
    refused = False
    with Watermark(folder, name) as watermark:
        if watermark.mark is None and begin is None:
            raise ConfigurationError(f"{source}: {NO_MARK}")
        refusals = Refusals(folder / f"{name}.rejects")
        while True:
            mark = watermark.mark
            start = mark - timedelta(minutes=overlap) if mark else begin
            assert start is not None
            try:
                with LoginProducer(settings.kafka) as producer:
                    tally = read(
                        portions(start), adapter, producer, watermark, refusals, source=source, tenant=tenant, sku=sku
                    )
                _tell(source, tally, refusals)
                refused = refused or tally.refused > 0
            except (OutOfReach, CheckFailed) as error:
                if every is None:
                    raise
                tell(f"{source}: {error}")
            if every is None:
                return 1 if refused else 0
            time.sleep(every)


def _tell(source: str, tally: Tally, refusals: Refusals) -> None:
    mark = tally.mark.isoformat(timespec="seconds") if tally.mark else "as before"
    tell(f"{source}: {tally.records:,} records read, {tally.sent:,} logins sent; watermark {mark}")
    for why, count in tally.not_logins.most_common():
        tell(f"{source}: {count:,} not a login: {why}")
    if tally.refused:
        tell(f"{source}: {tally.refused:,} refused ({tally.first_refusal}); mend and push {refusals.file}")


def _broker(
    kind: Kind, url: str, customer: str | None, client: str | None, secret_file: str | None, policy: str | None,
    trust: str, zone: str | None, prefix: str,
) -> tuple[Adapter, Callable[[datetime], Iterable[Portion]]]:  # fmt: skip
    """How its records are read, and its portions from a moment on."""
    try:
        options = AdapterOptions(zone_named(zone) if zone else None, policies(policy))
    except ValueError as error:
        raise ConfigurationError(f"--zone {error}") from None
    if kind == "citrix":
        service = _service(url, customer, client, secret_file, trust)
        return CitrixAdapter(options), lambda since: sessions(service, since)
    if options.zone is None:
        raise ConfigurationError("--zone: in which zone does the database write its times? Give it, as Asia/Tokyo")
    engine = engine_of(url, _secret(secret_file))
    if kind == "guacamole":
        return GuacamoleAdapter(options), lambda since: rows(engine, guacamole, since)
    return HorizonAdapter(options), lambda since: rows(engine, horizon(prefix), since)


def _secret(file: str | None) -> str:
    return (read_text(file) if file else os.environ.get(SECRET, "")).strip()


def _service(url: str, customer: str | None, client: str | None, secret_file: str | None, trust: str) -> Service:
    if not re.match(r"https?://[^/]+", url):
        raise ConfigurationError(f"{url} is no URL: write https://api-eu.cloud.com/monitorodata, or your site's")
    http = urllib3.PoolManager(maxsize=1, block=True)
    secret = _secret(secret_file)
    if not client or not secret:
        raise ConfigurationError(f"name the API client with --client, and give its secret in {SECRET} or --secret-file")
    for address in (url, trust):
        if urlsplit(address).scheme != "https" and urlsplit(address).hostname not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigurationError(f"{address} is not https: the key would go over the network in clear")
    login = CloudLogin(customer, client, secret, http, trust) if customer else BasicLogin(client, secret)
    return Service(url, login, http)


def _moment(text: str) -> datetime:
    try:
        return parse_time(text if "T" in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise ConfigurationError(f"--since {text}: {error}, or a day (in UTC), as 2026-10-01") from None
