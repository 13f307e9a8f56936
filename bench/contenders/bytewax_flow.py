"""Bytewax: a data flow from Kafka whose one step collects the set of users. It neither validates nor stores."""

from __future__ import annotations

import sys
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, cluster_main

from bench.contenders.measure import Stopwatch


def main(bootstrap: str, topic: str, _: int) -> None:
    watch, users, events = Stopwatch(), set[tuple[str, str, str, str]](), 0

    def collect(messages: list[Any]) -> tuple[()]:
        nonlocal events
        watch.start()
        for message in messages:
            found = orjson.loads(message.value)
            for event in found if type(found) is list else (found,):
                events += 1
                data = event["data"]
                users.add((event["time"][:7], data["tenant"], data["sku"], event["subject"]))
        watch.lap()
        return ()

    flow = Dataflow("bench")
    stream = op.input("kafka", flow, KafkaSource([bootstrap], [topic], tail=False, batch_size=10_000))
    collected: list[Any] = []
    op.output("none", op.flat_map_batch("collect", stream, collect), TestingSink(collected))
    cluster_main(flow, [], 0)
    watch.report(events, len(users))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
