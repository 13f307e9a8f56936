"""Files of a broker's own records: a reader takes them apart, an adapter says what each is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from infra.errors import ConfigurationError
from producers.adapters.adapter import Adapter, NotALogin, Seen, login_event
from producers.sources.lines import Line, LongLine
from producers.sources.records import Found, Reader
from producers.sources.source import Item, Login, Refused, Skipped, SourceOptions, place
from producers.times import NoZone
from schemas.quarantine import Refusal


class AdaptedSource:
    """`file`: the name that stands in ids where the broker has none."""

    def __init__(self, reader: Reader, adapter: Adapter, options: SourceOptions, file: str) -> None:
        self._reader, self._adapter, self._options, self._file = reader, adapter, options, file
        self._seen_a_time = False

    @property
    def preamble(self) -> bytes:
        return self._reader.preamble

    def read(self, lines: Iterable[Line | LongLine]) -> Iterator[Item]:
        for item in self._reader.read(lines):
            if not isinstance(item, Found):
                yield item
                continue
            try:
                found = [self._item(item, one) for one in self._adapter.translate(item.record)]
                self._seen_a_time = self._seen_a_time or any(isinstance(one, Login) for one in found)
                yield from found
            except NoZone as missing:
                if not self._seen_a_time:
                    raise ConfigurationError(f"{self._file}, record {item.number}: {missing.detail}") from None
                yield Refused(item.number, item.raw, missing)
            except Refusal as refusal:
                yield Refused(item.number, item.raw, refusal)

    def _item(self, item: Found, one: Seen | NotALogin) -> Login | Skipped:
        if isinstance(one, NotALogin):
            return Skipped(item.number, one.why)
        options = self._options
        event = login_event(
            one, place(self._file, item.number), source=options.source, tenant=options.tenant, sku=options.sku
        )
        return Login(item.number, event, one.subject)
