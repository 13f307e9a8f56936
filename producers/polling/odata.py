"""Pages of an OData v4 service, one query at a time (the Monitor service gives up after 30 seconds)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from producers.polling.caller import Caller
from schemas.event import read_json
from schemas.quarantine import Refusal

_TIME_OUTS = 2
"""Before less is asked for."""


class Page(NamedTuple):
    records: list[dict[str, Any]]
    following: str | None
    """Its `@odata.nextLink`."""


class Service(Caller):
    """`base` is the URL below which the entity sets are. Its questions raise TooSlow where they time out again."""

    __slots__ = ()

    def page(self, entities: str, query: Mapping[str, str]) -> Page:
        """The first page of a query. Raises as Caller does."""
        return self._get(entities, urlencode(query, safe="$,()", quote_via=quote))

    def following(self, entities: str, link: str) -> Page:
        """The page behind an `@odata.nextLink`. Only its query is taken: the key goes to no other host."""
        return self._get(entities, urlsplit(link).query)

    def _get(self, entities: str, query: str) -> Page:
        return self.ask("GET", f"{self.base.rstrip('/')}/{entities}?{query}", _page, time_outs=_TIME_OUTS)


def _page(body: bytes) -> Page:
    value = read_json(body)
    records = value.get("value") if isinstance(value, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Refusal("not_an_event", "no page of OData")
    following = value.get("@odata.nextLink")
    return Page(records, following if isinstance(following, str) else None)
