"""Records that retention took before the dedup job had read them: stored as found, a blocking finding of the close.

Nobody can say which logins they held; the append times on both sides say which months those may belong to.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import utc

_COLUMNS = ("topic_id", "partition", "expected", "found", "after", "before")


class LostOffsets(NamedTuple):
    """Offsets `expected` to `found` − 1 of a partition, gone unread. Times are UTC."""

    topic_id: str
    partition: int
    expected: int
    found: int
    after: datetime
    """Append time of the last record that was stored before; 1970 when none is known."""
    before: datetime
    """Append time of the first record found: what is lost was appended until then."""

    def concern(self, start: datetime, end: datetime) -> bool:
        """Whether logins of [start, end) may be among them, since a login is appended when it happens, or later.

        A source that tells of logins much later than they happened is not thought of: the months before `after`
        count as complete.
        """
        return self.after < end and start <= self.before


def lost_offsets(client: Client, topic_id: str | None = None) -> list[LostOffsets]:
    """All that are known, of one topic or of every one there ever was. Raises the driver's errors."""
    rows = client.query(
        "SELECT topic_id, partition, expected, max(found), min(after), min(before) FROM lost_offsets"
        + (" WHERE topic_id = %(topic)s" if topic_id is not None else "")
        + " GROUP BY topic_id, partition, expected ORDER BY topic_id, partition, expected",
        parameters={"topic": topic_id},
    ).result_rows
    return [LostOffsets(t, p, e, f, utc(after), utc(before)) for t, p, e, f, after, before in rows]


def last_stored(client: Client, topic_id: str, partition: int) -> datetime | None:
    """When the newest record of the partition that the dedup job has stored was appended; UTC. None: not known."""
    rows = client.query(
        "SELECT argMax(append_time, stored_at) FROM ingest_progress WHERE topic_id = %(topic)s AND partition = %(p)s"
        " HAVING count() > 0",
        parameters={"topic": topic_id, "p": partition},
    ).result_rows
    return utc(rows[0][0]) if rows else None


def store(client: Client, lost: LostOffsets) -> None:
    """Stores a finding; the same again changes nothing. Raises the driver's errors."""
    client.insert("lost_offsets", [list(lost)], column_names=_COLUMNS)
