"""A hand-written aiokafka + orjson loop that collects the set of users. It neither validates nor stores."""

from __future__ import annotations

import asyncio
import sys

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.contenders.measure import Stopwatch


async def main(bootstrap: str, topic: str, count: int) -> None:
    watch, users, events = Stopwatch(), set[tuple[str, str, str, str]](), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20, fetch_max_bytes=16 << 20,
    )  # fmt: skip
    await consumer.start()
    await consumer._client._wait_on_metadata(topic)
    partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    while events < count:
        for records in (await consumer.getmany(timeout_ms=1000, max_records=20_000)).values():
            watch.start()
            for record in records:
                found = orjson.loads(record.value)
                for event in found if type(found) is list else (found,):
                    events += 1
                    data = event["data"]
                    users.add((event["time"][:7], data["tenant"], data["sku"], event["subject"]))
            watch.lap()
    await consumer.stop()
    watch.report(events, len(users))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
