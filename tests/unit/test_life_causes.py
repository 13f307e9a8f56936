"""Why a draft was made, in the words that the ledger keeps and a correction sends."""

from __future__ import annotations

from typing import Any

import pytest

from infra.generation import Generation
from schemas.close import Seal, SealedCount
from schemas.ledger import Ended, Rejected
from schemas.report import Correction, Quantities, Report, SealCited
from stream_jobs.month_close.report.causes import cause_of
from stream_jobs.month_close.report.life import Life
from tests.unit.test_life import (
    ADJUSTED,
    OCTOBER,
    RECEIPT,
    REFUSAL,
    SENT,
    WAIVED,
    approved,
    attempted,
    drafted,
    life_of,
    sha,
)


def seal(**changed: Any) -> Seal:
    made = {
        "month": OCTOBER, "agreement": "acme", "revision": 1, "close_number": 3, "time_zone": "Asia/Tokyo",
        "digest": sha("seal"), "counts": [], "cluster_id": "c", "topic_id": "t", "offsets": {0: 9}, "append_times": {},
        "catalogue_versions": {0: 1}, "key_fingerprint": "",
    }  # fmt: skip
    return Seal.model_validate(made | changed)


def standing(**correction: Any) -> Report:
    return Report.model_construct(
        seal=SealCited(
            revision=1, close_number=3, digest=sha("seal"), generation=2, catalogue_version=1, key_fingerprint=""
        ),
        total=Quantities(measured=0, reported=0), correction=Correction(**correction) if correction else None,
    )


LATE = "logins that arrived after close 3 were counted"
COUNTS = [SealedCount(tenant="a", sku="S1", active_users=1, digest=sha("x"))]
MADE_FOR = [Generation(number=n, month=OCTOBER, reason=f"reason {n}") for n in (2, 4, 6)]


@pytest.mark.parametrize(
    ("life", "now", "amended", "cause"),
    [
        (life_of(), seal(), False, "first draft"),
        (life_of(drafted()), seal(), False, "what it found or shows changed"),
        (life_of(drafted(), ADJUSTED), seal(), False, "a S1 adjusted by -1 (other): t"),
        (life_of(drafted(), ADJUSTED, WAIVED), seal(), False, "a S1 adjusted by -1 (other): t; f waived (other): t"),
        (life_of(*SENT, REFUSAL), seal(), False, "rejected by the distributor: wrong form"),
        (life_of(*SENT, RECEIPT), seal(revision=2, close_number=5), False, LATE),
        (life_of(*SENT), seal(revision=2, generation=3), False, LATE),  # rebuilt was another month
        (life_of(*SENT), seal(revision=2, generation=5), False, "rebuilt as generation 4: reason 4"),
        (
            life_of(*SENT), seal(revision=2, generation=6), False,
            "rebuilt as generation 4: reason 4; rebuilt as generation 6: reason 6",
        ),
        # A version that says the same of the month is no reason.
        (life_of(*SENT), seal(revision=2, catalogue_versions={0: 1, 1: 4}), False, LATE),
        (life_of(*SENT), seal(revision=2, catalogue_versions={0: 1, 1: 4}), True, "counted by catalogue version 4"),
        (
            life_of(*SENT), seal(revision=2, catalogue_versions={0: 1, 1: 4}, counts=COUNTS), True,
            f"counted by catalogue version 4; {LATE}",
        ),
        (
            life_of(*SENT, REFUSAL, ADJUSTED), seal(revision=2), False,
            f"rejected by the distributor: wrong form; {LATE}; a S1 adjusted by -1 (other): t",
        ),
    ],
)  # fmt: skip
def test_a_cause_names_all_that_changed_since_the_newest_draft(
    life: Life, now: Seal, amended: bool, cause: str
) -> None:
    assert cause_of(life, standing() if life.newest else None, now, made_for=MADE_FOR, amended=amended) == cause


def test_a_correction_that_is_not_sent_keeps_its_reason_and_adds_what_changes_its_numbers() -> None:
    opened = drafted(revision=2).model_copy(update={"reason": "rejected by the distributor: wrong form"})
    draft = standing(of_revision=1, reason=opened.reason, differences=[])
    for life, now, more in (
        (life_of(*SENT, REFUSAL, opened), seal(), ""),
        (life_of(*SENT, REFUSAL, opened, WAIVED.model_copy(update={"revision": 2})), seal(), ""),
        (life_of(*SENT, REFUSAL, opened, ADJUSTED), seal(revision=2), f"; {LATE}; a S1 adjusted by -1 (other): t"),
    ):
        assert cause_of(life, draft, now) == opened.reason + more


def test_the_next_after_a_rejected_correction_has_the_reasons_of_both() -> None:
    again = (approved(2), attempted(2, key="key2"), Ended(revision=2, attempt=1, outcome="accepted"))
    opened = drafted(revision=2).model_copy(update={"reason": "late"})
    life = life_of(*SENT, RECEIPT, opened, *again, Rejected(revision=2, reason="wrong form"))
    draft = standing(of_revision=1, reason="late", differences=[])
    assert cause_of(life, draft, seal()) == "late; rejected by the distributor: wrong form"
