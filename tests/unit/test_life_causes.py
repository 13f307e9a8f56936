"""Why a draft was made, in the words that the ledger keeps and a correction sends."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.close import Seal
from schemas.report import Report, SealCited
from stream_jobs.month_close.report.causes import cause_of
from stream_jobs.month_close.report.life import Life
from tests.unit.test_life import ADJUSTED, OCTOBER, RECEIPT, REFUSAL, SENT, WAIVED, drafted, life_of, sha


def seal(**changed: Any) -> Seal:
    made = {
        "month": OCTOBER, "agreement": "acme", "revision": 1, "close_number": 3, "time_zone": "Asia/Tokyo",
        "digest": sha("seal"), "counts": [], "cluster_id": "c", "topic_id": "t", "offsets": {0: 9}, "append_times": {},
        "catalogue_versions": {0: 1}, "key_fingerprint": "",
    }  # fmt: skip
    return Seal.model_validate(made | changed)


STANDING = Report.model_construct(
    seal=SealCited(
        revision=1, close_number=3, digest=sha("seal"), generation=1, catalogue_version=1, key_fingerprint=""
    )
)


@pytest.mark.parametrize(
    ("life", "now", "cause"),
    [
        (life_of(), seal(), "first draft"),
        (life_of(drafted()), seal(), "what it found or shows changed"),
        (life_of(drafted(), ADJUSTED), seal(), "a S1 adjusted by -1 (other): t"),
        (life_of(drafted(), ADJUSTED, WAIVED), seal(), "a S1 adjusted by -1 (other): t; f waived (other): t"),
        (life_of(*SENT, REFUSAL), seal(), "rejected by the distributor: wrong form"),
        (life_of(*SENT, RECEIPT), seal(revision=2, close_number=5), "logins that arrived after close 3 were counted"),
        (life_of(*SENT), seal(revision=2, catalogue_versions={0: 1, 1: 4}), "counted by catalogue version 4"),
        (life_of(*SENT), seal(revision=2, generation=2), "rebuilt as generation 2: mapped wrongly"),
        (
            life_of(*SENT, REFUSAL, ADJUSTED), seal(revision=2),
            "rejected by the distributor: wrong form; logins that arrived after close 3 were counted; "
            "a S1 adjusted by -1 (other): t",
        ),
    ],
)  # fmt: skip
def test_a_cause_names_all_that_changed_since_the_newest_draft(life: Life, now: Seal, cause: str) -> None:
    assert cause_of(life, STANDING if life.newest else None, now, "mapped wrongly") == cause
