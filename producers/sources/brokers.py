"""The brokers whose files `rollcall push --format` reads: how their records are framed, and by which adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from infra.errors import ConfigurationError
from producers.adapters import avd, citrix, guacamole, horizon, instances, secure_browser, windows, workspaces
from producers.adapters.adapter import Adapter, AdapterOptions, Policies
from producers.adapters.mapped import MappedAdapter, columns_of, unwrap
from producers.sources.adapted import AdaptedSource
from producers.sources.events_xml import EventsXml
from producers.sources.records import FirstCharacter, Json, Reader, Table, Text
from producers.sources.source import Format, SourceOptions, zone_of


class Broker(NamedTuple):
    reader: Callable[[str, int], Reader]
    """Of a file's name and the longest line."""
    adapter: Callable[[AdapterOptions], Adapter]
    policies: Policies
    takes: frozenset[str] = frozenset()
    """Which of zone, inventory, columns and date mean something here."""


def _json_or_table(file: str, limit: int) -> Reader:
    return FirstCharacter({b"{": Json(limit), b"[": Json(limit)}, Table(file, limit))


def _json(file: str, limit: int) -> Reader:
    return Json(limit)


def _text(file: str, limit: int) -> Reader:
    return Text(limit)


def _windows(file: str, limit: int) -> Reader:
    return FirstCharacter({b"{": Json(limit), b"[": Json(limit), b"<": EventsXml(limit)}, Table(file, limit))


_ZONE, _INVENTORY, _DAY = frozenset({"zone"}), frozenset({"inventory"}), frozenset({"columns", "date"})
BROKERS: dict[Format, Broker] = {
    "avd": Broker(_json_or_table, avd.AvdAdapter, avd.POLICIES, _ZONE),
    "citrix": Broker(_json, citrix.CitrixAdapter, citrix.POLICIES),
    "guacamole": Broker(_json_or_table, guacamole.GuacamoleAdapter, guacamole.POLICIES, _ZONE),
    "horizon": Broker(_json_or_table, horizon.HorizonAdapter, horizon.POLICIES, _ZONE),
    "horizon-syslog": Broker(_text, horizon.HorizonSyslogAdapter, horizon.POLICIES),
    "instances": Broker(_json_or_table, instances.InstancesAdapter, instances.POLICIES, _ZONE | _DAY),
    "secure-browser": Broker(_json, secure_browser.SecureBrowserAdapter, secure_browser.POLICIES),
    "windows": Broker(_windows, windows.WindowsAdapter, windows.POLICIES, _ZONE),
    "workspaces": Broker(_json, workspaces.WorkSpacesAdapter, workspaces.POLICIES, _INVENTORY),
}


def broker_source(options: SourceOptions, file: str, limit: int) -> AdaptedSource:
    """The source for a broker's file. Raises ConfigurationError for options that do not fit it."""
    broker = BROKERS[options.format]
    _refuse(options, {"year", "map"} | (_ZONE | _INVENTORY | _DAY) - broker.takes)
    adapter = broker.adapter(
        AdapterOptions(zone_of(options), options.policy, options.inventory, options.columns, options.date)
    )
    return AdaptedSource(broker.reader(file, limit), adapter, options, file)


def mapped_source(options: SourceOptions, file: str, limit: int) -> AdaptedSource:
    """The source for a file that is read by a map. Raises ConfigurationError for options that do not fit it."""
    if options.map is None:
        raise ConfigurationError("--format map needs to know how the file is read: --map map.yaml")
    _refuse(options, {"columns", "year", "policy", "inventory", "date"})
    zone_of(options)
    found = options.map
    adapter = MappedAdapter(found, file, zone=options.zone, has_sku=options.sku is not None)
    if found.records == "json":
        return AdaptedSource(Json(limit, unwrap(found)), adapter, options, file)
    table = Table(
        file, limit, columns=columns_of(found), delimiter=found.delimiter, encoding=found.encoding,
        skip=found.skip_lines, header=found.header,
    )  # fmt: skip
    return AdaptedSource(table, adapter, options, file)


def _refuse(options: SourceOptions, names: set[str]) -> None:
    given = [f"--{name}" for name in sorted(names) if getattr(options, name)]
    if given:
        raise ConfigurationError(f"{', '.join(given)}: means nothing to --format {options.format}; leave it out")
