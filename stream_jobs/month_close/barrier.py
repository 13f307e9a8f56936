"""The barrier: a numbered record in every partition, and the wait until the dedup job has stored all before it.

After it, every event that Kafka acknowledged before the close began is in `active_users` or in the quarantine, and
every row says whether its event came before the close's record (`recorded_in`). No clock decides anything here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from clickhouse_connect.driver.client import Client

from infra.clickhouse.client import explained
from infra.errors import CheckFailed, RollcallError
from infra.generation import Generation, in_force, number_in_force
from infra.kafka.connection import admin_client, kafka_python_options
from infra.kafka.control import write_control
from infra.kafka.topics import describe
from schemas.control import ControlRecord
from schemas.settings import Settings
from stream_jobs.month_close.numbers import take_number
from stream_jobs.month_close.over import unfinished_anywhere
from stream_jobs.month_close.places import Ground, ground, read_places

Tell = Callable[[str], None]

POLL_SECONDS = 0.25
TELL_SECONDS = 5.0
_BEGINNINGS = 5
_NAMED = 12


@dataclass(frozen=True)
class Waiting:
    """How the wait is timed: seconds from `clock`, which `pause` lets pass."""

    deadline_seconds: float
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def pass_barrier(
    settings: Settings, client: Client, month: date, tell: Tell, *, waiting: Waiting,
    work: Callable[[], None] | None = None,
) -> Ground:  # fmt: skip
    """Takes a number, writes it into every partition, waits for the dedup job; returns what the close stands on.

    `work` is called once the records are written: it may make the job come past them. Partitions that are added
    meanwhile, or a rebuild that is accepted, make it begin again with a new number. Raises CheckFailed at the
    deadline, naming each partition's lag, or when the month can be over nowhere; OutOfReach when a server is.
    """
    for _ in range(_BEGINNINGS):
        before = describe(settings)
        ends = _log_ends(settings, before.partitions)
        with explained(settings.clickhouse):
            generation = in_force(client)
            number = take_number(client, month)

        def overtaken(generation: Generation = generation) -> bool:
            with explained(settings.clickhouse):
                return number_in_force(client) != generation.number

        written = write_control(settings, ControlRecord(kind="close", number=number))
        tell(f"close {number} stands in {len(written)} partitions of {settings.kafka.topic}")
        if reason := unfinished_anywhere(month, min(appended for _, appended in written.values())):
            raise CheckFailed(reason)
        if written.keys() == ends.keys():
            if work is not None:
                try:
                    work()
                except RollcallError:  # a worker of the generation of before ends itself
                    if not overtaken():
                        raise
            targets = {p: offset + 1 for p, (offset, _) in written.items()}
            await_commits(settings, generation.group(settings.kafka), targets, number, tell, waiting, overtaken)
        if overtaken():
            tell(f"a rebuild was accepted while close {number} ran: beginning again with a new number")
            continue
        after = describe(settings)
        if after.topic_id != before.topic_id:
            raise CheckFailed(
                f"topic {settings.kafka.topic} was made anew while close {number} ran: nothing was sealed; close again"
            )
        if range(after.partitions) == range(before.partitions) and written.keys() == ends.keys():
            with explained(settings.clickhouse):
                places = read_places(client, after.topic_id, number)
            return ground(
                places, number=number, cluster_id=after.cluster_id, topic_id=after.topic_id, ends=ends,
                written=written, generation=generation.number,
            )  # fmt: skip
        tell(
            f"{settings.kafka.topic} grew from {before.partitions} to {after.partitions} partitions while close "
            f"{number} ran: beginning again with a new number"
        )
    raise CheckFailed(
        f"{settings.kafka.topic} got new partitions, or a rebuild was accepted, each of {_BEGINNINGS} times that a "
        "close began: close again when that is done; nothing was sealed"
    )


def await_commits(
    settings: Settings, group: str, targets: Mapping[int, int], number: int, tell: Tell, waiting: Waiting,
    overtaken: Callable[[], bool],
) -> None:  # fmt: skip
    """Returns once the dedup job's group has committed these offsets (the next to read), or greater ones.

    Returns as well when it is overtaken: the job then goes on in another group.

    Raises CheckFailed at the deadline, with every partition that is behind.
    """
    begun = waiting.clock()
    told, workers_told = begun, False
    with admin_client(kafka_python_options(settings.kafka)) as client:
        while True:
            committed = _committed(client, group, settings.kafka.topic)
            behind = {p: target for p, target in sorted(targets.items()) if committed.get(p, 0) < target}
            if not behind or overtaken():
                return
            now = waiting.clock()
            idle = not _has_members(client, group)
            if now - begun >= waiting.deadline_seconds:
                raise CheckFailed(
                    f"close {number} gave up after {waiting.deadline_seconds:g} s (ROLLCALL_CLOSE_DEADLINE_SECONDS): "
                    f"{_lags(group, behind, committed)}; {_cure(group, idle)} Nothing was sealed"
                )
            if idle and not workers_told:
                tell(f"no worker is running in group {group}: start one with `rollcall worker`, or close with --drain")
                workers_told, told = True, now
            elif now - told >= TELL_SECONDS:
                tell(f"waiting: {_lags(group, behind, committed)}")
                told = now
            workers_told = workers_told and idle
            waiting.pause(POLL_SECONDS)


def _lags(group: str, behind: Mapping[int, int], committed: Mapping[int, int]) -> str:
    named = [
        f"partition {p} has committed {committed[p]} of {target} (lag {target - committed[p]})"
        if p in committed else f"partition {p} has committed nothing of {target}"
        for p, target in behind.items()
    ]  # fmt: skip
    more = f", and {len(named) - _NAMED} more partitions" if len(named) > _NAMED else ""
    return f"group {group} is behind: {', '.join(named[:_NAMED])}{more}"


def _cure(group: str, idle: bool) -> str:
    if idle:
        return f"no worker is running in group {group}: start one with `rollcall worker`, or close with --drain."
    return "see what the worker's log says, or give it more time, then close again."


def _log_ends(settings: Settings, partitions: int) -> dict[int, int]:
    """The offset that the next record of each partition will get; what is acknowledged lies below it."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    wanted = {TopicPartition(settings.kafka.topic, p): OffsetSpec.LATEST for p in range(partitions)}
    with admin_client(kafka_python_options(settings.kafka)) as client:
        found = client.list_partition_offsets(wanted)
    return {place.partition: at.offset for place, at in found.items()}


def _committed(client: Any, group: str, topic: str) -> dict[int, int]:
    """By partition, where something is committed; empty while the group's broker cannot say."""
    from kafka.errors import GroupIdNotFoundError

    try:
        offsets = _patiently(lambda: client.list_group_offsets(group)[group])
    except GroupIdNotFoundError:
        return {}
    return {at.partition: o.offset for at, o in (offsets or {}).items() if at.topic == topic and o.offset >= 0}


def _has_members(client: Any, group: str) -> bool:
    from kafka.errors import GroupIdNotFoundError

    try:
        found = _patiently(lambda: client.describe_groups([group])[group])
    except GroupIdNotFoundError:
        return False
    return found is None or bool(found["members"])


def _patiently(ask: Callable[[], Any]) -> Any:
    """The answer; None while the group moves to another broker or is being loaded."""
    from kafka.errors import CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError

    try:
        return ask()
    except (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError):
        return None
