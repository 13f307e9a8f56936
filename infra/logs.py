"""Logs: one line a fact, on standard error, as text for people or as JSON for machines.

A message is a whole sentence; what a machine wants of it besides goes into `extra` and shows in JSON alone. Nothing
logs an event's subject: of an exception that nobody foresaw its kind and places are told, not its text, which may
quote one.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import RollcallError
from schemas.settings import LogSettings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OURS = "rollcall"
"""Only loggers of this name speak; libraries' own words are held back (Faust's: 1,700 lines an outage)."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fault(error: BaseException) -> str:
    """An exception on one line: kind, places from the innermost outwards, and what it came from."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    text = f": {error}" if isinstance(error, RollcallError) else ""
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    came = f"; from {fault(origin)}" if origin is not None else ""
    return f"{type(error).__qualname__}{text} at {places or 'no place'}{came}"


class TextLines(logging.Formatter):
    """A line a fact."""

    def format(self, record: logging.LogRecord) -> str:
        error, record.exc_info = record.exc_info, None
        line = super().format(record)
        record.exc_info = error
        return f"{line} ({fault(error[1])})" if error and error[1] else line


class JsonLines(logging.Formatter):
    """A JSON object a line: time (UTC), level, logger, message, what `extra` holds, and an exception."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fact = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _PLAIN},
        }  # fmt: skip
        if record.exc_info and record.exc_info[1]:
            fact["exception"] = fault(record.exc_info[1])
        return json.dumps(fact, ensure_ascii=False, default=str)


def set_up(settings: LogSettings) -> None:
    """Makes standard error the log of this process, for our loggers only. Takes the place of what was set up before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines(TEXT))
    handler.addFilter(lambda record: record.name == OURS or record.name.startswith(f"{OURS}."))
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for name in ("aiokafka", "faust", "mode", "asyncio", "kafka"):  # the filter alone would let them build their lines
        logging.getLogger(name).setLevel(logging.CRITICAL)
