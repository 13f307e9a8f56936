"""Stock Faust: an agent over `events()` that collects the set of users. It neither validates nor stores."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from typing import Any

import faust
import orjson

from bench.contenders.measure import Stopwatch


def main(bootstrap: str, topic: str, count: int) -> None:
    watch, users = Stopwatch(), set[tuple[str, str, str, str]]()
    app = faust.App(
        f"bench-{uuid.uuid4()}", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False,
        topic_disable_leader=True, datadir=tempfile.mkdtemp(), consumer_auto_offset_reset="earliest",
        broker_max_poll_records=20_000, worker_redirect_stdouts=False,
    )  # fmt: skip
    source = app.topic(topic, value_serializer="raw", key_serializer="raw")
    seen = 0

    @app.agent(source)
    async def collect(stream: Any) -> None:
        nonlocal seen
        async for event in stream.events():
            watch.start()
            found = orjson.loads(event.value)
            for login in found if type(found) is list else (found,):
                seen += 1
                users.add((login["time"][:7], login["data"]["tenant"], login["data"]["sku"], login["subject"]))
            if seen >= count:
                watch.lap()
                watch.report(seen, len(users))
                sys.stdout.flush()
                os._exit(0)

    worker = faust.Worker(app, loglevel="CRITICAL", quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
