"""Quix Streams: a data frame whose one step collects the set of users. It neither validates nor stores."""

from __future__ import annotations

import sys
import tempfile
import uuid

import orjson
from quixstreams import Application

from bench.contenders.measure import Stopwatch


def main(bootstrap: str, topic: str, count: int) -> None:
    watch, users, events = Stopwatch(), set[tuple[str, str, str, str]](), 0
    app = Application(
        broker_address=bootstrap, consumer_group=f"bench-{uuid.uuid4()}", auto_offset_reset="earliest",
        auto_create_topics=False, state_dir=tempfile.mkdtemp(), loglevel=None,
    )  # fmt: skip

    def collect(value: bytes) -> None:
        nonlocal events
        watch.start()
        found = orjson.loads(value)
        for event in found if type(found) is list else (found,):
            events += 1
            data = event["data"]
            users.add((event["time"][:7], data["tenant"], data["sku"], event["subject"]))
        if events >= count:
            watch.lap()
            app.stop()

    app.dataframe(app.topic(topic, value_deserializer="bytes")).update(collect)
    app.run()
    watch.report(events, len(users))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
