"""What docs/submission.md tells a receiver is so: its few lines accept what is sent, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from schemas.settings import Settings, setting_names
from stream_jobs.month_close.submit.https import body_of
from stream_jobs.month_close.submit.signed import Signed
from tests.receivers import SECRET
from tests.unit.parcels import PARCEL

PAGE = (Path(__file__).parents[2] / "docs" / "submission.md").read_text("utf-8")


def genuine() -> Callable[[str, Mapping[str, str], bytes], bool]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[[str, Mapping[str, str], bytes], bool] = names["genuine"]
    return found


def headers(at: datetime) -> dict[str, str]:
    return Signed(Settings(submit={"secret": SECRET}), lambda: at).headers(PARCEL.key, body_of(PARCEL))


def test_the_few_lines_accept_what_is_sent_and_nothing_else() -> None:
    check, now, body = genuine(), datetime.now(UTC), body_of(PARCEL)
    assert check(SECRET, headers(now), body)
    assert check(SECRET, headers(now) | {"webhook-signature": f"v1,AAAA {headers(now)['webhook-signature']}"}, body)
    assert not check(SECRET, headers(now), body + b" ")
    assert not check("whsec_MDEyMzQ1Njc4OWFiY2RlZg==", headers(now), body)
    assert not check(SECRET, headers(now) | {"webhook-id": "other"}, body)
    assert not check(SECRET, headers(now - timedelta(hours=1)), body)


def test_every_setting_that_it_names_is_there() -> None:
    assert set(re.findall(r"ROLLCALL_[A-Z_]+[A-Z]", PAGE)) - {"ROLLCALL_HOME"} <= setting_names().keys()
