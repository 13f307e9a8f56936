"""The year's Rollcall: a real worker that reads a real log into a real table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    NotCoordinatorError,
)

from infra.clickhouse.client import connect
from infra.kafka.connection import admin_client, kafka_python_options
from infra.waiting import wait_until
from producers.client import LoginProducer
from schemas.settings import Settings
from tests.integration.command import environment
from tests.year.provider import Login

MOVING = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, GroupIdNotFoundError, NotCoordinatorError)
"""A new group is not known yet, or its broker is being found."""
ZONES = [ZoneInfo(name) for name in ("UTC", "Asia/Tokyo", "America/St_Johns")]


class World:
    def __init__(self, settings: Settings, client: Client, producer: LoginProducer, admin: Any) -> None:
        self.settings, self.client = settings, client
        self._producer, self._admin = producer, admin

    def push(self, logins: Iterable[Login]) -> None:
        """Returns when Kafka has acknowledged all of them."""
        for index, login in enumerate(logins):
            event = json.dumps(login.event(ZONES[index % len(ZONES)])).encode()
            self._producer.send_bytes(event, login.subject)
        self._producer.flush(60)

    def wait(self) -> None:
        """Returns when the worker has stored all that was pushed."""
        assert wait_until(self._stored, 60), "the worker does not read on"

    def _stored(self) -> bool:
        kafka = self.settings.kafka
        group = f"{kafka.group}-g1"
        places = [TopicPartition(kafka.topic, p) for p in range(kafka.partitions)]
        ends = self._admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        try:
            committed = self._admin.list_group_offsets(group)[group] or {}
        except MOVING:
            return False
        return all(p in committed and committed[p].offset >= end.offset for p, end in ends.items())


@contextmanager
def world_of(settings: Settings, folder: Path, **changes: str) -> Iterator[World]:
    """A world with a worker of its own, which ends with it. `changes` are variables of its environment."""
    log = folder / "worker.log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "console.main", "worker"], env=environment(settings, **changes), stdout=out,
            stderr=out,
        )  # fmt: skip
    try:
        with (
            connect(settings) as client, LoginProducer(settings.kafka, pack=20) as producer,
            admin_client(kafka_python_options(settings.kafka)) as admin,
        ):  # fmt: skip
            yield World(settings, client, producer, admin)
            assert worker.poll() is None, log.read_text()
    finally:
        worker.terminate()
        worker.wait(40)
        print(log.read_text()[-4000:])
