"""Reads sessions of the Citrix Monitor service by their ModifiedDate, oldest first, page by page.

The next page is asked for by the last one's newest ModifiedDate, not by its `@odata.nextLink`: the link counts rows,
and a session that is modified meanwhile moves to the end, by which the link would pass over its neighbour. The link
says whether there is more, and is followed where a whole page has one ModifiedDate. The service decides how long a page
is (100); `$top` would keep it from linking to the next. A query that times out again and again (the service gives up
after 30 seconds) is asked for a shorter time, and then for the time behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.errors import CheckFailed
from producers.adapters.citrix import EXPAND
from producers.polling.caller import TooSlow
from producers.polling.odata import Service
from producers.polling.portion import Portion
from schemas.event import parse_time

# Finer than microseconds is cut, not rounded: the next page must not begin behind a neighbour.
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)?")


_SHORTEST = timedelta(minutes=15)
"""Of ModifiedDate: a query for less is not slow for want of a shorter one."""
_NARROWER, _WIDER = 0.25, 1.25
"""After time-outs, and after an answer: six in time to two that are not."""


def sessions(service: Service, since: datetime, until: datetime | None = None) -> Iterator[Portion]:
    """All sessions modified at or after `since`, up to now; with `until`, of those the ones that began before it.

    Raises as Service does, TooSlow only when not even _SHORTEST of time is answered.
    """
    begin, link = since, None
    span: timedelta | None = None
    while True:
        end = None if span is None else begin + span
        try:
            page = service.following("Sessions", link) if link else service.page("Sessions", _query(begin, end, until))
        except TooSlow:
            if span is not None and span <= _SHORTEST:
                raise
            span, link = max((span or datetime.now(UTC) - begin) * _NARROWER, _SHORTEST), None
            continue
        mark = max((_modified(record) for record in page.records), default=begin)
        if page.records:
            yield Portion(page.records, max(mark, begin))
        if page.following is None:
            if span is None or end is None:
                return
            begin, link, span = end, None, span * _WIDER
            if begin + span >= datetime.now(UTC):
                span = None
        elif mark > begin:
            begin, link = mark, None
        else:
            link = page.following


def _query(begin: datetime, end: datetime | None, until: datetime | None) -> dict[str, str]:
    before = f" and ModifiedDate lt {_literal(end)}" if end else ""
    before += f" and StartDate lt {_literal(until)}" if until else ""
    return {
        "$filter": f"ModifiedDate ge {_literal(begin)}{before}", "$orderby": "ModifiedDate asc", "$expand": EXPAND
    }  # fmt: skip


def _literal(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _modified(record: dict[str, Any]) -> datetime:
    match = _MOMENT.fullmatch(str(record.get("ModifiedDate")))
    try:
        if match is not None:
            return parse_time(f"{match[1]}{match[2] or ''}{match[3] or 'Z'}")
    except ValueError:
        pass
    raise CheckFailed(f"the session {record.get('SessionKey')} has no ModifiedDate that can be read")
