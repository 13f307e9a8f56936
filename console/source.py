"""`rollcall source`: brokers that are asked for their logins, or listened to."""

from __future__ import annotations

from threading import Event
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Format, show
from console.push import policies
from console.source_jobs import SECRET, job_of_line, look, run_one, stopped_by_signals
from infra.logs import set_up
from schemas.settings import load_settings

source = App(name="source", help="Brokers that are asked for their logins, or listened to: check, run.")

Kind = Annotated[str, Parameter(help="citrix, avd, guacamole, horizon or syslog")]
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
    kind: Kind, url: str, /, *, customer: Customer = None, directory: Directory = None, client: Client = None,
    secret_file: SecretFile = None, policy: Policy = None, trust: Trust = None, zone: Zone = None,
    prefix: Prefix = None, format: Format = "table",
) -> int:  # fmt: skip
    """Ask the broker at URL for one page of the last day, and show what would count. Sends nothing."""
    job = job_of_line(kind, url, "", secret_file, {
        "customer": customer, "directory": directory, "client": client, "policy": policies(policy), "trust": trust,
        "zone": zone, "prefix": prefix,
    })  # fmt: skip
    found = look(job, load_settings())
    show(format, ("what", "product or reason", "number"), found)
    return 1 if any(what == "refused" for what, _, _ in found) else 0


@source.command
def run(
    kind: Kind, url: str, /, *, source: Annotated[str, Parameter(help="the events' source, as /citrix/eu-1")],
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
    """Read the broker at URL from its watermark on, into Kafka; or listen for syslog at URL until SIGTERM.

    The watermark is kept in ROLLCALL_HOME/sources; ended at any moment, the next run goes on from there. Exit code 1
    when records were refused: they are kept beside it.
    """
    settings = load_settings()
    job = job_of_line(kind, url, source, secret_file, {
        "customer": customer, "directory": directory, "client": client, "policy": policies(policy), "trust": trust,
        "zone": zone, "prefix": prefix, "since": since, "overlap_minutes": overlap, "tenant": tenant, "sku": sku,
        "map": map, "cert_file": cert_file, "key_file": key_file, "client_ca_file": client_ca_file,
    })  # fmt: skip
    if kind == "syslog":
        set_up(settings.log)
    stop = stopped_by_signals() if kind == "syslog" or every is not None else Event()
    return 0 if run_one(job, settings, every, stop) else 1
