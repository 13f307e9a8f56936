"""Who is who, from a directory's export or a list of renames: CSV or LDIF, as groups of names. Pure.

Of a CSV file these columns are read, by whatever of their spellings, in any case; the names in one line are one person:
`sid` (objectSid), `upn` (userPrincipalName), `sam` (sAMAccountName, with `domain` where it has none), `name` and `same`
(old and new of a rename); `from` and `to` say since when and until when (the first day that is out): a month or a day.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from schemas.parts import Day
from stream_jobs.month_close.aliases.ldif import Entry, entries, sid_text

_COLUMNS = {
    "sid": "sid", "objectsid": "sid", "upn": "upn", "userprincipalname": "upn", "sam": "sam", "samaccountname": "sam",
    "domain": "domain", "name": "name", "old": "name", "same": "same", "new": "same", "from": "from", "to": "to",
}  # fmt: skip
_day: TypeAdapter[date] = TypeAdapter(Day)


class Group(NamedTuple):
    """Names of one person; None for no limit. `place` is where it stands, for people."""

    place: str
    names: tuple[str, ...]
    valid_from: date | None = None
    valid_to: date | None = None


def from_csv(text: str, domain: str = "") -> Iterator[Group | str]:
    """A group for each line, or the sentence why it is none. Raises ValueError without any column of names."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    fields = {field: _COLUMNS.get(field.strip().lower()) for field in reader.fieldnames or ()}
    if len({"sid", "upn", "sam", "name", "same"} & set(fields.values())) < 2:
        raise ValueError("the first line names no two columns of sid, upn, sam, name, same; write a header line")
    for row in reader:
        given = {fields[key]: (value or "").strip() for key, value in row.items() if fields.get(key)}
        place = f"line {reader.line_num}"
        try:
            start, end = _date(given.get("from", "")), _date(given.get("to", ""))
        except ValueError as error:
            yield f"{place}: {error}"
            continue
        if start and end and end <= start:
            yield f"{place}: it ends before it begins; `to` is the first day that is out"
            continue
        sam = _account(given.get("sam", ""), given.get("domain", "") or domain)
        names = [given.get("sid", ""), given.get("upn", ""), sam, given.get("name", ""), given.get("same", "")]
        yield _group(place, names, start, end)


def from_ldif(text: str, domain: str = "") -> Iterator[Group | str]:
    """A group for each entry that has names, or the sentence why it is none. Raises ValueError for what is no LDIF."""
    for line, entry in entries(text):
        place = f"line {line}"
        if not entry.keys() & {"objectsid", "userprincipalname", "samaccountname"}:
            continue
        try:
            sid = sid_text(entry["objectsid"][0]) if "objectsid" in entry else ""
            account = _text(entry, "samaccountname")
            sam = _text(entry, "msds-principalname") or _account(account, domain)
            yield _group(place, [sid, _text(entry, "userprincipalname"), sam], None, None)
        except ValueError as error:
            yield f"{place}: {error}"


def _group(place: str, names: list[str], start: date | None, end: date | None) -> Group | str:
    """A name without its domain is nobody's in particular, and is no name here."""
    found = tuple(dict.fromkeys(name for name in names if name))
    if len(found) < 2:
        return f"{place}: fewer than two names"
    return Group(place, found, start, end)


def _account(account: str, domain: str) -> str:
    if not account or "\\" in account:
        return account
    return f"{domain}\\{account}" if domain else ""


def _text(entry: Mapping[str, list[bytes]] | Entry, attribute: str) -> str:
    values = entry.get(attribute)
    return values[0].decode() if values else ""


def _date(text: str) -> date | None:
    try:
        return _day.validate_python(text) if text else None
    except ValidationError:
        raise ValueError(f"{text!r} is not a month (YYYY-MM) or a day (YYYY-MM-DD)") from None
