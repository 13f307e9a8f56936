"""A month in portions, so that a close of any size needs the memory of one.

A portion is a range of tenants, in the order of the tables' keys; the portions of a month cover every tenant that
there could be, each once. A tenant that is too large alone is sliced by its subjects' first byte, where that is
asked for: subjects are hashes, so slices are even.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

MOST_ROWS = 12_000_000
"""Of a statement that reads subjects, which needs about 50 bytes a row."""
MOST_STORED = 1_600_000
"""Of one that stores logins, as one part; it needs about 700 MB. Many smaller parts would be merged at once, beside the
close that reads them."""
_BYTES = 256


@dataclass(frozen=True)
class Portion:
    """Tenants from `first` on (None: from the start) and before `end` (None: to the end); first bytes in `slice`."""

    first: str | None = None
    end: str | None = None
    slice: tuple[int, int] | None = None

    def __contains__(self, tenant: str) -> bool:
        return (self.first is None or self.first <= tenant) and (self.end is None or tenant < self.end)

    @property
    def condition(self) -> str:
        """`AND …` of SQL, or nothing, with `parameters`."""
        return "".join([
            " AND tenant >= %(first_tenant)s" if self.first is not None else "",
            " AND tenant < %(end_tenant)s" if self.end is not None else "",
            " AND reinterpretAsUInt8(subject) BETWEEN %(first_byte)s AND %(last_byte)s" if self.slice else "",
        ])  # fmt: skip

    @property
    def parameters(self) -> dict[str, Any]:
        low, high = self.slice or (0, 0)
        return {"first_tenant": self.first, "end_tenant": self.end, "first_byte": low, "last_byte": high}


def portions(rows: Mapping[tuple[str, str], int], *, most: int = MOST_ROWS, sliced: bool = False) -> list[Portion]:
    """Of about `most` rows each, or of one tenant unless they are `sliced`; `rows` are counted by tenant and SKU."""
    tenants: Counter[str] = Counter()
    for (tenant, _), count in rows.items():
        tenants[tenant] += count
    firsts: list[str] = []
    filled = most
    for tenant in sorted(tenants):
        if filled + tenants[tenant] > most:
            firsts.append(tenant)
            filled = 0
        filled += tenants[tenant]
    found: list[Portion] = []
    for first, end in zip_longest(firsts, firsts[1:]):
        whole = Portion(first if found else None, end)
        found += _slices(whole, -(-tenants[first] // most)) if sliced else [whole]
    return found or [Portion()]


def _slices(portion: Portion, count: int) -> Iterator[Portion]:
    count = min(count, _BYTES)
    if count < 2:
        yield portion
        return
    for i in range(count):
        yield Portion(portion.first, portion.end, (i * _BYTES // count, (i + 1) * _BYTES // count - 1))
