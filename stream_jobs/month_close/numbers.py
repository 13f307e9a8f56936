"""The next close number. Whoever takes one has it alone; a number that nobody uses does no harm."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

from clickhouse_connect.driver.client import Client

from infra.errors import RollcallError

_TRIES = 100


def take_number(client: Client, month: date) -> int:
    """A number greater than every other taken before, and than every one that the dedup job has read in the log.

    The log is asked too, since it may know of closes that ClickHouse, restored from a backup, does not: a number
    used twice would cut events off that arrived long after its first use.
    """
    for _ in range(_TRIES):
        number, owner = _greatest(client) + 1, uuid4()
        client.insert(
            "close_numbers", [[number, month, owner]], column_names=["number", "month", "owner"],
            settings={"insert_deduplication_token": f"close-{number}"},
        )  # fmt: skip
        taken = client.query(
            "SELECT owner FROM close_numbers WHERE number = %(number)s", parameters={"number": number}
        ).result_rows
        if [row[0] for row in taken] == [owner]:
            return number
    raise RollcallError(f"no close number could be taken in {_TRIES} tries: other closes run at once; close again")


def _greatest(client: Client) -> int:
    [[number]] = client.query(
        "SELECT greatest((SELECT max(number) FROM close_numbers),"
        " (SELECT max(number) FROM control_places WHERE kind = 'close'))"
    ).result_rows
    return int(number)
