"""`rollcall source`: brokers that are asked for their logins, or listened to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Event
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Format, show, tell
from console.push import policies
from console.source_jobs import (
    SECRET,
    declared_job,
    job_of_line,
    jobs_in_force,
    listed,
    look,
    run_all,
    run_one,
    stopped_by_signals,
    unmapped,
)
from infra.errors import ConfigurationError
from infra.logs import set_up
from schemas.settings import load_settings
from schemas.source_settings import moment

source = App(name="source", help="Brokers that are asked for their logins, or listened to: list, check, run, backfill.")

Name = Annotated[str, Parameter(help="a declared source; with a URL its kind: citrix, avd, guacamole, horizon, syslog")]
Url = Annotated[str | None, Parameter(help="where a source is that is not declared")]
Customer = Annotated[str | None, Parameter(help="Citrix Cloud customer id")]
Directory = Annotated[str | None, Parameter(help="Microsoft Entra directory (tenant) id")]
Client = Annotated[str | None, Parameter(help="id of the API client; on premises the account")]
SecretFile = Annotated[str | None, Parameter(help=f"file with the client's secret; else the variable {SECRET}")]
Policy = Annotated[str | None, Parameter(help="what counts, as NAME=VALUE,…; see docs/sources")]
Zone = Annotated[str | None, Parameter(help="time zone of a database's times, as Asia/Tokyo")]
Prefix = Annotated[str | None, Parameter(help="of Horizon's tables, as h_")]
Trust = Annotated[str | None, Parameter(help="where tokens are given out, if not at the kind's usual place")]


@source.command
def check(
    name: Name, url: Url = None, /, *, customer: Customer = None, directory: Directory = None, client: Client = None,
    secret_file: SecretFile = None, policy: Policy = None, trust: Trust = None, zone: Zone = None,
    prefix: Prefix = None, format: Format = "table",
) -> int:  # fmt: skip
    """Ask a broker for one page of the last day, and show what would count. Sends nothing."""
    settings = load_settings()
    given = {
        "customer": customer, "directory": directory, "client": client, "policy": policies(policy), "trust": trust,
        "zone": zone, "prefix": prefix,
    }  # fmt: skip
    if url is None:
        _nothing_more(name, secret_file, given)
        job = declared_job(settings, name)
    else:
        job = job_of_line(settings, name, url, "", secret_file, given)
    found = look(job, settings)
    show(format, ("what", "product or reason", "number"), found)
    if not found:
        tell("it answers, and has nothing of the last day; `rollcall source run` reads as far back as --since says")
    strange = unmapped(job, found, settings) if url is None else []
    for product in strange:
        tell(
            f"{product!r} is not under products of {settings.catalogue} for {job.source}: its logins would be set "
            "aside; map it there, or give the source a sku"
        )
    return 1 if strange or any(what == "refused" for what, _, _ in found) else 0


@source.command
def run(
    name: Name | None = None, url: Url = None, /, *,
    source: Annotated[str | None, Parameter(help="the events' source, as /citrix/eu-1")] = None,
    all: Annotated[bool, Parameter(negative="", help="every declared source that is read")] = False,
    once: Annotated[bool, Parameter(negative="", help="declared ones: one poll each, not on and on")] = False,
    customer: Customer = None, directory: Directory = None, client: Client = None, secret_file: SecretFile = None,
    policy: Policy = None, trust: Trust = None, zone: Zone = None, prefix: Prefix = None,
    since: Annotated[str | None, Parameter(help="from when on, at the first time: day or RFC 3339")] = None,
    overlap: Annotated[float | None, Parameter(help="minutes before the watermark that are read again; 90")] = None,
    every: Annotated[float | None, Parameter(help="seconds between two polls; left out: poll once")] = None,
    tenant: str | None = None, sku: str | None = None,
    map: Annotated[str | None, Parameter(help="syslog: a map for lines that are not Horizon's")] = None,
    cert_file: Annotated[str | None, Parameter(help="syslog over TLS: the certificate, PEM")] = None,
    key_file: Annotated[str | None, Parameter(help="syslog over TLS: its key")] = None,
    client_ca_file: Annotated[str | None, Parameter(help="syslog over TLS: whose certificates senders show")] = None,
) -> int:  # fmt: skip
    """Read a broker from its watermark on, into Kafka; or listen for syslog at URL until SIGTERM.

    Declared ones are polled as often as they say, until SIGTERM; a KIND and URL once, unless --every is given. The
    watermark is kept in ROLLCALL_HOME/sources; ended at any moment, the next run goes on from there. Exit code 1 when
    records were refused: they are kept beside it.
    """
    settings = load_settings()
    given = {
        "customer": customer, "directory": directory, "client": client, "policy": policies(policy), "trust": trust,
        "zone": zone, "prefix": prefix, "since": since, "overlap_minutes": overlap, "tenant": tenant, "sku": sku,
        "map": map, "cert_file": cert_file, "key_file": key_file, "client_ca_file": client_ca_file,
    }  # fmt: skip
    if url is None:
        _nothing_more(name or "--all", secret_file, given | {"source": source, "every": every})
        if (name is None) != all:
            raise ConfigurationError("name a declared source, or --all, or a kind and a URL")
        jobs = [declared_job(settings, name)] if name else jobs_in_force(settings, datetime.now(UTC).date())
        set_up(settings.log)
        return 0 if run_all(jobs, settings, stopped_by_signals(), once=once) else 1
    if name is None or source is None or all or once:
        raise ConfigurationError("with a kind and a URL give --source, the events' source, as /citrix/eu-1; no --all")
    job = job_of_line(settings, name, url, source, secret_file, given)
    if name == "syslog":
        set_up(settings.log)
    stop = stopped_by_signals() if name == "syslog" or every is not None else Event()
    return 0 if run_one(job, settings, every, stop) else 1


@source.command(name="list")
def list_(*, format: Format = "table") -> None:
    """Show the sources that the catalogue declares, and how far those that are read here have come."""
    columns = ("source", "kind", "tenant", "reads", "valid_from", "valid_to", "watermark", "polled", "refused")
    show(format, columns, listed(load_settings()))


@source.command
def backfill(name: Name, begin: str, end: str, /) -> int:
    """Read the logins from BEGIN to END (days in UTC, or RFC 3339; END is out) of a declared source again.

    It changes no count of what was there already, and leaves the watermark where it is.
    """
    settings = load_settings()
    try:
        interval = moment(begin), moment(end)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if interval[0] >= interval[1]:
        raise ConfigurationError(f"{begin} to {end} is no interval: name its first moment, and the first that is out")
    return 0 if declared_job(settings, name).poller(settings).backfill(*interval) else 1


def _nothing_more(name: str, secret_file: str | None, given: Mapping[str, object]) -> None:
    said = [key.replace("_", "-") for key, value in {**given, "secret_file": secret_file}.items() if value]
    if said:
        raise ConfigurationError(
            f"{name}: the catalogue says all of a declared source; leave out --{', --'.join(said)}, or name a kind and "
            f"a URL"
        )
