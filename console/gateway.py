"""`rollcall gateway`: login events over HTTP; and its keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Format, show, tell
from infra.logs import set_up
from schemas.settings import load_settings

gateway = App(name="gateway", help="Take login events over HTTP (CloudEvents), and send them to Kafka.")
key = App(name="key", help="The keys that sources send with.")
gateway.command(key)


@gateway.default
def serve() -> int:
    """Take login events over HTTP until SIGTERM. An event is answered when Kafka, or the spool on disk, has it."""
    from producers.gateway.server import run

    settings = load_settings()
    set_up(settings.log)
    return run(settings)


@key.command
def add(
    name: str | None = None, /, *,
    source: Annotated[list[str] | None, Parameter(help="a source that it speaks for; `*` at the end: any rest")] = None,
    tenant: Annotated[list[str] | None, Parameter(help="a tenant that it speaks for; `*`: any, or none named")] = None,
    rate: Annotated[float | None, Parameter(help="events a second, where not the setting's")] = None,
    certificate: Annotated[str | None, Parameter(help="name that the client's certificate must carry")] = None,
    replaces: Annotated[str | None, Parameter(help="id of a key whose rights the new one takes over")] = None,
    overlap_hours: Annotated[float, Parameter(help="how long the replaced one is still good")] = 24.0,
) -> None:  # fmt: skip
    """Make a key; its token is printed once, on standard output. A running gateway knows it within a second.

    Rotating: `key add --replaces ID` gives a new token with the same rights; the old one ends after the overlap.
    """
    from infra.errors import ConfigurationError
    from producers.gateway import keys
    from producers.gateway.server import keys_file

    file, now = keys_file(load_settings()), datetime.now(UTC)
    if replaces is not None:
        if name or source or tenant or rate or certificate:
            raise ConfigurationError("--replaces takes over all that the other key has: give nothing else with it")
        if overlap_hours < 0:
            raise ConfigurationError(f"--overlap-hours {overlap_hours:g}: 0 or more")
        made, token = keys.rotate(file, replaces, timedelta(hours=overlap_hours), now)
        tell(f"key {made.id} ({made.name}) takes the place of {replaces}, good for {overlap_hours:g} hours more")
    else:
        made, token = keys.add(
            file, name or "", tuple(source or ()), tuple(tenant or ()), now, rate=rate, certificate=certificate
        )
        tell(f"key {made.id} ({made.name}) is in {file}; this is its token, shown this once:")
    print(token)


@key.command(name="list")
def list_(*, format: Format = "table") -> None:
    """Show the keys; the tokens cannot be shown."""
    from producers.gateway import keys
    from producers.gateway.server import keys_file

    now = datetime.now(UTC)
    rows = []
    for each in keys.load(keys_file(load_settings())).keys:
        ended = each.valid_until is not None and each.valid_until <= now
        state = "revoked" if each.revoked else "replaced" if ended else "in force"
        rows.append((
            each.id, each.name, state, ", ".join(each.sources), ", ".join(each.tenants), each.rate, each.certificate,
            each.created, each.valid_until,
        ))  # fmt: skip
    columns = ("id", "name", "state", "sources", "tenants", "rate", "certificate", "created", "valid_until")
    show(format, columns, rows)


@key.command
def revoke(id: str, /) -> None:
    """End a key at once: a running gateway refuses it within a second."""
    from producers.gateway import keys
    from producers.gateway.server import keys_file

    ended = keys.revoke(keys_file(load_settings()), id, datetime.now(UTC))
    tell(f"key {id} ({ended.name}) is revoked")
