"""A worker's seat in its consumer group (static membership): whoever takes it again gets its partitions back at once.

Without it, the partitions of a worker that was killed wait for the session to end (20 s); with it they wait for the
next worker on this machine (2 s). The kernel frees a dead process's lock, so a seat is never taken twice.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from zlib import crc32

from kafka.admin import MemberToRemove

from infra.errors import ConfigurationError
from infra.kafka.connection import admin_client, kafka_python_options
from schemas.settings import KafkaSettings

MAX_SEATS = 1000


def take_seat(home: Path, group: str) -> str:
    """The lowest free seat of this machine, held until the process ends. Raises ConfigurationError."""
    folder = home / "seats"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(MAX_SEATS):
            lock = os.open(folder / f"{group}-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return f"{socket.gethostname()}-{crc32(os.fsencode(home.resolve())):08x}-{number}"
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written ({error.strerror}): run as its owner, or name another folder in ROLLCALL_HOME"
        ) from None
    raise ConfigurationError(f"{MAX_SEATS} workers run on this machine already (locks in {folder})")


def seat_number(seat: str) -> int:
    """The seat's place on its machine, from 0 on."""
    return int(seat.rpartition("-")[2])


def give_up_seat(kafka: KafkaSettings, group: str, seat: str) -> None:
    """Leaves the group after a clean stop: its partitions go to others at once. Raises RollcallError."""
    with admin_client(kafka_python_options(kafka), seconds=3) as admin:
        admin.remove_group_members(group, [MemberToRemove(group_instance_id=seat)])
