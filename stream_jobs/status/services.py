"""The two servers, local or far: whether each answers, and where."""

from __future__ import annotations

from typing import NamedTuple

from infra.errors import OutOfReach, RollcallError
from schemas.settings import Settings
from stream_jobs.status.picture import Picture


class Service(NamedTuple):
    """What is known of a local server alone is empty for a far one. `state`: answers, down, or hangs (it runs, but
    does not answer)."""

    name: str
    state: str
    address: str
    pid: int | None = None
    version: str = ""
    data: str = ""
    log: str = ""


def services(settings: Settings, picture: Picture) -> list[Service]:
    """Kafka, then ClickHouse."""
    from infra.local.stack import status  # what a host without the local stack need not have loaded

    local = {each.name: each for each in status(settings)}
    far = {
        "Kafka": (settings.kafka.bootstrap, picture.log),
        "ClickHouse": (str(settings.clickhouse.url).rstrip("/"), picture.store),
    }
    found = []
    for name, (address, part) in far.items():
        here = local[name]
        if here.address == address:
            state = "answers" if here.answering else "hangs" if here.pid is not None else "down"
            found.append(Service(
                name, state, address, here.pid, here.version or "", str(here.data), str(here.log)
            ))  # fmt: skip
        else:
            found.append(Service(name, "answers" if answers(part) else "down", address))
    return found


def answers(part: object) -> bool:
    """Whether a part was read, or the server said at least what is missing."""
    return not isinstance(part, RollcallError) or part.exit_code != OutOfReach.exit_code
