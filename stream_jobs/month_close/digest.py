"""The digest of a seal (decision 9), so made that `sort` and `sha256sum` can check it.

Of each tenant and SKU: the counted subjects in lower-case hex, sorted, each ended by a line feed, hashed. Of the
seal: the lines `tenant,sku,count,digest`, sorted as LC_ALL=C does (the whole lines, by their bytes), each ended
by a line feed, hashed. SHA-256, in lower-case hex.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from schemas.close import SealedCount

# The same digest within ClickHouse, over `subjects`: a sorted array of FixedString(16), not empty. Bytes sort as their
# hex does.
CELL_DIGEST = (
    "lower(hex(SHA256(concat(lower(arrayStringConcat(arrayMap(s -> hex(s), subjects), '\\n')), '\\n'))))"
)


def cell_digest(subjects: Iterable[bytes]) -> str:
    """Of one tenant and SKU; each subject once, in any order."""
    return hashlib.sha256("".join(f"{s.hex()}\n" for s in sorted(subjects)).encode()).hexdigest()


def seal_digest(counts: Iterable[SealedCount]) -> str:
    """Of the whole seal; of no counts, the digest of nothing."""
    lines = sorted(f"{c.tenant},{c.sku},{c.active_users},{c.digest}\n".encode() for c in counts)
    return hashlib.sha256(b"".join(lines)).hexdigest()
