"""Submits, and is killed at a point: `python -m tests.integration.killed_submit` with cases on standard input.

Each case runs in a process of its own, made by a fork, so that the libraries are loaded once. Prints, of each, the
signal that ended it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import Any

from infra.clickhouse.client import connect
from schemas.calendar import parse_month
from schemas.settings import load_settings
from stream_jobs.month_close.report.basis import agreement_now
from stream_jobs.month_close.report.ledger import Ledger
from stream_jobs.month_close.submit.choose import transport_of
from stream_jobs.month_close.submit.desk import submit
from stream_jobs.month_close.submit.transport import Outcome, Parcel, Transport

POINTS = ("before the attempt is written", "before it is sent", "before its end is written", "after all")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(append: Callable[..., Any], point: str) -> Callable[..., Any]:
    def appended(ledger: Ledger, act: Any, **more: Any) -> Any:
        if point == POINTS[0]:
            die()
        entry = append(ledger, act, **more)
        if point == POINTS[3] and act.action == "ended":
            die()
        return entry

    return appended


class Dying:
    def __init__(self, within: Transport, point: str) -> None:
        self._within, self._point = within, point
        self.name, self.target, self.carries_key = within.name, within.target, within.carries_key

    def send(self, parcel: Parcel) -> Outcome:
        if self._point == POINTS[1]:
            die()
        outcome = self._within.send(parcel)
        if self._point == POINTS[2]:
            die()
        return outcome


def run(agreement: str, month: str, point: str, at: str) -> None:
    settings, first = load_settings(), parse_month(month)
    client = connect(settings)
    submission = agreement_now(client, agreement, first).submission
    assert submission is not None
    Ledger.append = dying(Ledger.append, point)  # type: ignore[method-assign]
    submit(
        settings, client, first, agreement, actor="alice", at=datetime.fromisoformat(at), tell=print,
        transport=Dying(transport_of(settings, submission), point),
    )  # fmt: skip


if __name__ == "__main__":
    # Loaded before the first fork.
    import stream_jobs.month_close.submit.email
    import stream_jobs.month_close.submit.https
    import stream_jobs.month_close.submit.sftp  # noqa: F401

    statuses = []
    for case in json.load(sys.stdin):
        if (child := os.fork()) == 0:
            try:
                run(**case)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.stderr.flush()
    print(json.dumps(statuses))
