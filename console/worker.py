"""`rollcall worker`: the dedup job."""

from __future__ import annotations

import logging

from infra.errors import RollcallError
from schemas.settings import load_settings


def worker(*, drain: bool = False) -> int:
    """Run the dedup job: Kafka in, ClickHouse out. SIGTERM ends it cleanly.

    Parameters
    ----------
    drain
        End, with exit code 0, when it has caught up with the topic as it stood at its start.
    """
    from stream_jobs.dedup.job import run, tame_logging

    settings = load_settings()
    tame_logging(settings.log)
    try:
        return run(settings, drain=drain)
    except RollcallError as error:
        if settings.log.format == "text":
            raise
        logging.getLogger("rollcall.worker").critical("%s", error, extra={"exit_code": error.exit_code})
        return error.exit_code
