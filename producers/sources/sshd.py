"""An sshd's auth.log: every `Accepted <method> for <user> from …` line is a login; all others are skipped.

Two kinds of time stamp are read. `2026-10-31T23:59:59.123456+09:00` (RFC 3339) says everything itself. The
traditional `Oct 31 23:59:59` has neither year nor zone: --year is the year of the first line, and --zone the
server's. A log that runs over New Year: where the month falls back by six or more (December to January), the
year moves on by one; a straggler of December behind a line of January still belongs to the old year. Smaller
steps back are disorder within the year.

`source` is `/sshd/<host>` when --source does not give it, `product` the method (publickey, password, …) when
--sku does not give the SKU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from infra.errors import ConfigurationError
from producers.adapters.adapter import to_json
from producers.sources.lines import Line, LongLine
from producers.sources.source import (
    Item,
    Login,
    Refused,
    Skipped,
    SourceOptions,
    place,
    too_long,
    zone_of,
)
from producers.times import in_zone
from schemas.event import EVENT_TYPE, event_from
from schemas.quarantine import Refusal

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
# A user name may hold spaces and even " from ": the last one counts. sshd-session: OpenSSH 9.8 and later.
_ACCEPTED = re.compile(
    rb"(?P<stamp>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T\S+) (?P<host>\S+) "
    rb"sshd(?:-session)?(?:\[[0-9]+\])?: Accepted (?P<method>\S+) for (?P<user>.*) from \S+ port [0-9]+"
)
_BACK_OVER_NEW_YEAR = 6  # months


class SshdSource:
    """`file`: the name that stands in the ids."""

    preamble = b""

    def __init__(self, options: SourceOptions, file: str, limit: int) -> None:
        if options.columns:
            raise ConfigurationError("--columns belongs to --format csv; leave it out")
        if options.year is not None and not 1970 <= options.year <= 9999:
            raise ConfigurationError(f"--year {options.year}: give the four digits of the first line's year")
        self._options, self._file, self._limit = options, file, limit
        self._zone, self._year, self._month = zone_of(options), options.year, 0

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        for line in lines:
            if isinstance(line, LongLine):
                yield too_long(line, self._limit)
                continue
            year = self._year_of(line.text)
            if b": Accepted " not in line.text or not (match := _ACCEPTED.match(line.text)):
                yield Skipped(line.number)
                continue
            try:
                yield self._login(line.number, match, year)
            except Refusal as refusal:
                yield Refused(line.number, (line.raw,), refusal)

    def _login(self, number: int, match: re.Match[bytes], year: int | None) -> Login:
        time = self._time(number, match["stamp"].decode("ascii"), year)
        try:
            host, method, user = (match[name].decode() for name in ("host", "method", "user"))
        except UnicodeDecodeError as error:
            raise Refusal("not_utf8", f"byte {error.start} of host, method or user is not UTF-8") from None
        data = {"sku": self._options.sku} if self._options.sku else {"product": method}
        if self._options.tenant:
            data["tenant"] = self._options.tenant
        value = {
            "specversion": "1.0", "id": place(self._file, number),
            "source": self._options.source or f"/sshd/{host}", "type": EVENT_TYPE, "time": time,
            "subject": user, "data": data,
        }
        event_from(value)
        return Login(number, to_json(value), user)

    def _time(self, number: int, stamp: str, year: int | None) -> str:
        if stamp[0].isdigit():
            return stamp
        if year is None or self._zone is None:
            missing = " and ".join(
                name for name, value in (("--year", year), ("--zone", self._zone)) if value is None
            )
            raise ConfigurationError(
                f"{self._file}, line {number}: the time {stamp!r} lacks its year and zone. Give {missing} "
                f"(the year of the file's first line; the server's zone, as Asia/Tokyo or UTC)"
            )
        try:
            local = datetime.strptime(f"{year} {stamp}", "%Y %b %d %H:%M:%S")
        except ValueError:
            raise Refusal("bad_time", f"there is no {stamp!r} in {year}") from None
        return in_zone(local, self._zone)

    def _year_of(self, text: bytes) -> int | None:
        """The year of a line with a traditional time stamp; follows the log over New Year."""
        month = _MONTHS.get(text[:3])
        if month is None or self._year is None:
            return self._year
        if self._month == 1 and month == 12 and self._year != self._options.year:
            return self._year - 1
        if self._month - month >= _BACK_OVER_NEW_YEAR:
            self._year += 1
        self._month = month
        return self._year
