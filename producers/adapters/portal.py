"""TimeGenerated as Log Analytics gives it: in query results, and in the CSV that the Azure portal exports.

It is UTC unless its column says otherwise: the portal heads it `TimeGenerated [UTC]` or `TimeGenerated [Local Time]`
and writes `10/31/2026, 11:59:59.123 PM`.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from producers.adapters.adapter import Record, optional
from producers.times import read_form, read_time
from schemas.calendar import zone_named

_PORTAL = "%m/%d/%Y, %I:%M:%S.%f %p"
_UTC = zone_named("UTC")


def exported(record: Record) -> bool:
    """Whether the portal wrote it."""
    return any(name.startswith("TimeGenerated [") for name in record)


def generated(record: Record, zone: ZoneInfo | None) -> str | None:
    """RFC 3339; None where the record has none. `zone`: the portal's local time. Raises NoZone or Refusal(bad_time)."""
    for name, written in (
        ("TimeGenerated", _UTC), ("TimeGenerated [UTC]", _UTC), ("TimeGenerated [Local Time]", zone),
    ):  # fmt: skip
        if text := optional(record, name):
            if not text.rstrip().endswith(("AM", "PM")):
                return read_time(text, written)
            form = _PORTAL if "." in text else _PORTAL.replace(".%f", "")
            return read_form(text, form, written)
    return None
