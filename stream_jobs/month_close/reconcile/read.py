"""Reading another product's counts through a column map: bytes in, one count per tenant and SKU out. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from infra.errors import CheckFailed, ConfigurationError
from schemas.calendar import month_name
from schemas.catalogue import Catalogue
from schemas.reconciliation import ColumnMap, Cut, OtherCount

_SHOWN = 10
_NUMBER = re.compile(r"[0-9]+(\.0+)?")
_MONTH = re.compile(r"([0-9]{4})[-/.](0[1-9]|1[0-2])(?![0-9])")
_NOTHING = ("", "-", "–", "n/a", "N/A")
_PARTS = ("total", "paid", "free")


@dataclass(frozen=True)
class OtherCounts:
    """In order of tenant and SKU; `notes` say what was left out."""

    counts: list[OtherCount]
    notes: list[str]


def read_counts(data: bytes, how: ColumnMap, month: date, catalogue: Catalogue, name: str = "file") -> OtherCounts:
    """The counts of one month. Rows of one tenant's SKU are added up.

    A tenant or SKU is found by the map's `values`, by its id, or by its name in any case; what is none of these stays
    as it is spelled, and compares with nothing. Raises ConfigurationError when the file is not what the map says, and
    CheckFailed with the first faults when rows cannot be read, or none is of the month: nothing is half imported.
    """
    rows = _csv(data, how, name) if how.format == "csv" else _json(data, how, name)
    tenants = _names([(t.id, t.name) for t in catalogue.tenants])
    skus = _names([(s.id, s.name) for s in catalogue.skus])
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    faults, others, ignored = [], 0, 0
    for where, row in rows:
        try:
            found = _read(row, how)
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if found is None:
            ignored += 1
        elif found["month"] not in (None, month_name(month)):
            others += 1
        else:
            tenant = tenants.get(_key(found["tenant"]), found["tenant"])
            cells.setdefault((tenant, skus.get(_key(found["sku"]), found["sku"])), []).append(found)
    counts = []
    for (tenant, sku), held in sorted(cells.items()):
        sums = {part: _sum(row[part] for row in held) for part in _PARTS}
        if sums["total"] is None and sums["paid"] is None:
            faults.append(f"{name}: {tenant} {sku}: some rows give a total, others what is paid, which cannot be added")
        else:
            counts.append(OtherCount(tenant=tenant, sku=sku, **sums))
    if faults:
        more = [f"… and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise CheckFailed("\n".join(["nothing was imported:", *faults[:_SHOWN], *more]))
    if not counts:
        raise CheckFailed(f"{name} has no row of {month_name(month)}: is it the right file and month?")
    notes = [f"{ignored} rows were left out, as the map says"] if ignored else []
    notes += [f"{others} rows of other months were left out"] if others else []
    return OtherCounts(counts, notes)


def _sum(parts: Iterable[int | None]) -> int | None:
    """None where any row does not give it."""
    found = list(parts)
    return None if None in found else sum(part or 0 for part in found)


def _csv(data: bytes, how: ColumnMap, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        text = data.decode(how.encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise ConfigurationError(f"{name} is not {how.encoding} ({error}): name its encoding in the map") from None
    lines = io.StringIO(text, newline="")
    for _ in range(how.skip_lines):
        lines.readline()
    reader = csv.DictReader(lines, delimiter=how.delimiter, strict=True)
    try:
        headers = [header.strip() for header in reader.fieldnames or []]
        reader.fieldnames = headers
        missing = sorted({cut.column for cut in _cuts(how) if cut.column} - set(headers))
        if missing:
            raise ConfigurationError(
                f"{name} has no column {', '.join(map(repr, missing))}; there are {', '.join(map(repr, headers))}: "
                "mend the map, or its delimiter and skip_lines"
            )
        for row in reader:
            where = f"{name}:{how.skip_lines + reader.line_num}"
            yield where, {header: value for header, value in row.items() if header is not None}
    except csv.Error as error:
        raise ConfigurationError(f"{name}:{how.skip_lines + reader.line_num}: not CSV: {error}") from None


def _json(data: bytes, how: ColumnMap, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ConfigurationError(f"{name} is not JSON: {error}") from None
    found = _member(value, how.rows) if how.rows else value
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        where = f"at {how.rows}" if how.rows else "at its top"
        raise ConfigurationError(f"{name} has no array of objects {where}: mend `rows` in the map")
    for index, row in enumerate(found):
        yield f"{name}: {how.rows or 'row'}[{index}]", {
            cut.column: _member(row, cut.column) for cut in _cuts(how) if cut.column
        }


def _member(value: Any, path: str) -> Any:
    """The member of that very name, or else through the dots; None where there is none."""
    if isinstance(value, dict) and path in value:
        return value[path]
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _cuts(how: ColumnMap) -> list[Cut]:
    return [cut for cut in (how.tenant, how.sku, how.total, how.paid, how.free, how.month) if cut is not None]


def _read(row: Mapping[str, Any], how: ColumnMap) -> dict[str, Any] | None:
    """A row's parts; None when the map leaves it out. ValueError says what is wrong with it."""
    texts = {name: _text(row, cut) for name in ("tenant", "sku", "month", *_PARTS) if (cut := getattr(how, name))}
    if any(texts[name] in getattr(how, name).ignore for name in texts):
        return None
    found: dict[str, Any] = {"month": None, **dict.fromkeys(_PARTS)}
    for name, text in texts.items():
        mapped = getattr(how, name).values.get(text, text)
        if name in ("tenant", "sku"):
            if not mapped:
                raise ValueError(f"no {name}; give it under `values` as \"\", or leave such rows out with `ignore`")
            found[name] = mapped
        elif name == "month":
            found[name] = _month(mapped)
        else:
            found[name] = _number(mapped, name, how.thousands)
    total, paid, free = (found[part] for part in _PARTS)
    if total is None and paid is None:
        raise ValueError("no count: the row gives neither total nor paid")
    if None not in (total, paid, free) and total != paid + free:
        raise ValueError(f"total {total} is not paid {paid} + free {free}")
    if free is not None:
        found["total"] = total if total is not None else paid + free
        found["paid"] = paid if paid is not None else total - free
        if found["paid"] < 0:
            raise ValueError(f"more are free ({free}) than there are ({total})")
    return found


def _text(row: Mapping[str, Any], cut: Cut) -> str:
    value = cut.value if cut.column is None else row.get(cut.column)
    return "" if value is None else str(value).strip()


def _number(text: str, name: str, thousands: str) -> int | None:
    plain = text.replace(thousands, "") if thousands else text
    if plain in _NOTHING:
        return None
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"{name} {text!r} is not a number of users; name what groups its digits under `thousands`")
    return int(plain.partition(".")[0])


def _month(text: str) -> str:
    found = _MONTH.match(text)
    if not found:
        raise ValueError(f"{text!r} is not a month: it must begin as YYYY-MM, or stand under `values`")
    return f"{found[1]}-{found[2]}"


def _names(parts: list[tuple[str, str]]) -> dict[str, str]:
    """Ids by themselves and by their names; a name that two have stands for neither."""
    by_name: dict[str, set[str]] = {}
    for id, name in parts:
        by_name.setdefault(_key(name), set()).add(id)
    found = {name: ids.pop() for name, ids in by_name.items() if len(ids) == 1}
    return {**found, **{_key(id): id for id, _ in parts}}


def _key(text: str) -> str:
    return text.strip().casefold()
