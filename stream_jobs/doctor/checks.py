"""All checks of an installation, in the order in which they are told."""

from __future__ import annotations

from functools import partial

from schemas.settings import Settings
from stream_jobs.doctor import here, kafka
from stream_jobs.doctor.counting import CountingChecks
from stream_jobs.doctor.finding import Check
from stream_jobs.doctor.store import StoreChecks

KAFKA, CLICKHOUSE = "Kafka", "ClickHouse"


def first_checks() -> list[Check]:
    """Those that need no settings."""
    return [Check("Python", here.python), Check("packages", here.packages)]


def checks(settings: Settings) -> list[Check]:
    store = StoreChecks(settings)
    counting = CountingChecks(settings, lambda: store.client)
    both = (KAFKA, CLICKHOUSE)
    return [
        Check("home", partial(here.home, settings)),
        Check(KAFKA, partial(kafka.cluster, settings)),
        Check("topics", partial(kafka.topics, settings), (KAFKA,)),
        Check("Kafka's disks", partial(kafka.disks, settings), (KAFKA,)),
        Check("Kafka's clock", partial(kafka.clock, settings), (KAFKA,)),
        Check(CLICKHOUSE, store.server),
        Check("schema", store.schema, (CLICKHOUSE,)),
        Check("ClickHouse's disks", store.disks, (CLICKHOUSE,)),
        Check("pseudonym key", store.key, (CLICKHOUSE,)),
        Check("catalogue", store.catalogue, (CLICKHOUSE,)),
        Check("partitions", store.places, both),
        Check("workers", counting.workers, both),
        Check("quarantine", counting.quarantine, (CLICKHOUSE,)),
        Check("losses", counting.losses, (CLICKHOUSE,)),
        Check("rebuilds", counting.reach, both),
        Check("reports", counting.reports, (CLICKHOUSE,)),
    ]
