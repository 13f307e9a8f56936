"""A hand-written confluent-kafka + orjson loop that collects the set of users. It neither validates nor stores."""

from __future__ import annotations

import sys

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from bench.contenders.measure import Stopwatch


def main(bootstrap: str, topic: str, count: int) -> None:
    watch, users, events = Stopwatch(), set[tuple[str, str, str, str]](), 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
    while events < count:
        messages = consumer.consume(10_000, 0.1)
        if messages:
            watch.start()
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            found = orjson.loads(message.value() or b"")
            for event in found if type(found) is list else (found,):
                events += 1
                data = event["data"]
                users.add((event["time"][:7], data["tenant"], data["sku"], event["subject"]))
        watch.lap()
    consumer.close()
    watch.report(events, len(users))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
