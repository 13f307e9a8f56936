"""Checks of Kafka: reachable, topics as they must be, room, its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from infra.errors import RollcallError
from infra.kafka.connection import admin_client, cluster_facts, kafka_python_options
from infra.kafka.topic_definitions import MILLISECONDS_PER_DAY
from infra.kafka.topics import check_topics, describe
from schemas.settings import Settings
from stream_jobs.doctor.finding import Said, State
from stream_jobs.doctor.here import room

SKEW_SECONDS = 2.0
_NEWEST = -3  # ListOffsets: the record with the greatest time


def cluster(settings: Settings) -> Iterator[Said]:
    facts = cluster_facts(kafka_python_options(settings.kafka))
    wanted = settings.kafka.replication
    if facts.brokers < wanted:
        cure = "start those that are down, or add some"
        yield State.mend, f"{facts.brokers} brokers are live, and topics have {wanted} replicas", cure
    else:
        yield State.ok, f"cluster {facts.cluster_id} answers at {settings.kafka.bootstrap}, {facts.brokers} brokers"


def topics(settings: Settings) -> Iterator[Said]:
    check_topics(settings)
    facts = describe(settings)
    days = int(facts.config["retention.ms"]) // MILLISECONDS_PER_DAY
    stamp = facts.config["message.timestamp.type"]
    yield State.ok, f"{settings.kafka.topic}: {facts.partitions} partitions, {stamp}, kept for {days} days"


def disks(settings: Settings) -> Iterator[Said]:
    """Where the brokers tell it (Kafka 3.3 and newer, with the right to describe the cluster)."""
    try:
        with admin_client(kafka_python_options(settings.kafka)) as client:
            brokers = client.describe_log_dirs(topic_partitions=[settings.kafka.topic])
    except RollcallError as error:
        yield State.watch, f"the brokers do not tell how full their disks are ({error})"
        return
    for broker in brokers:
        for folder in broker["log_dirs"] if "log_dirs" in broker else broker["results"]:
            path, total, free = folder["log_dir"], folder.get("total_bytes", -1), folder.get("usable_bytes", -1)
            if total > 0:
                yield from room(f"broker {broker.get('broker', '')} {path}".replace("  ", " "), (total, 0, free))


def clock(settings: Settings) -> Iterator[Said]:
    """Kafka tells no time; its newest append times must not lie ahead of ours. A clock that is behind does not show."""
    from kafka import TopicPartition

    topic = settings.kafka.topic
    partitions = describe(settings).partitions
    with admin_client(kafka_python_options(settings.kafka)) as client:
        found = client.list_partition_offsets({TopicPartition(topic, p): _NEWEST for p in range(partitions)})
    now = time.time()
    newest = max((at.timestamp / 1000 for at in found.values() if at.timestamp > 0), default=None)
    if newest is None:
        yield State.ok, "no record yet that could tell Kafka's time"
    elif newest > now + SKEW_SECONDS:
        cure = "set the clocks of this machine and of the brokers by NTP"
        yield State.mend, f"Kafka's newest record was appended {newest - now:.1f} s after this machine's time", cure
    else:
        yield State.ok, "Kafka's append times do not lie ahead of this machine's clock"
