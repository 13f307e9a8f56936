"""Logs: one line a fact, on standard error, as text for people or as JSON for machines.

A message is a whole sentence; what a machine wants of it besides goes into `extra` and shows in JSON alone. Nothing
logs an event's subject.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from schemas.settings import LogSettings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OURS = "rollcall"
"""Only loggers of this name speak; libraries' own words are held back (Faust's: 1,700 lines an outage)."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A JSON object a line: time (UTC), level, logger, message, what `extra` holds, and an exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fact = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _PLAIN},
        }  # fmt: skip
        if record.exc_info:
            fact["exception"] = self.formatException(record.exc_info)
        return json.dumps(fact, ensure_ascii=False, default=str)


def set_up(settings: LogSettings) -> None:
    """Makes standard error the log of this process, for our loggers only. Takes the place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else logging.Formatter(TEXT))
    handler.addFilter(lambda record: record.name == OURS or record.name.startswith(f"{OURS}."))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for name in ("aiokafka", "faust", "mode", "asyncio", "kafka"):  # the filter alone would let them build their lines
        logging.getLogger(name).setLevel(logging.CRITICAL)
